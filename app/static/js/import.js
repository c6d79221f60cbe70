/* Uploads an old database in chunks, so that it may be large, passes proxies, and can be resumed; then starts the
   import. Without JavaScript the form uploads it as a whole. */

const form = document.querySelector("[data-import]");
const percentFormat = new Intl.NumberFormat(document.documentElement.dataset.format, { style: "percent" });
const TRIES = 5;
const PAUSE_MS = 1500;

async function token() {
  const response = await fetch(form.dataset.tokenAddress);
  return (await response.json()).token;
}

async function send(method, address, body, type) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetch(address, { method, body, headers: { "Content-Type": type, "X-CSRF-Token": await token() } });
    } catch (error) {
      // no response: the connection may recover
      if (attempt === TRIES) throw error;
      await new Promise((go) => {
        setTimeout(go, PAUSE_MS * attempt);
      });
    }
  }
}

async function answerOf(response) {
  const data = await response.json();
  if (!response.ok && data.receivedBytes === undefined) {
    throw Object.assign(new Error(data.error), { isFromServer: true });
  }
  return data;
}

function show(sent, total) {
  const share = total ? sent / total : 0;
  const progress = form.querySelector("[data-progress]");
  progress.hidden = false;
  progress.querySelector("progress").value = 100 * share;
  progress.querySelector("p").textContent = form.dataset.sending.replace("{share}", percentFormat.format(share));
}

/* The server returns how much it has received, also of an earlier attempt, and so decides on the next chunk. */
async function sendFile(file, from) {
  const pieceBytes = Number(form.dataset.pieceBytes);
  let sent = from;
  do {
    show(sent, file.size);
    const chunk = file.slice(sent, sent + pieceBytes);
    const address = `${form.dataset.fileAddress}?offset=${sent}&total=${file.size}`;
    sent = (await answerOf(await send("PUT", address, chunk, "application/octet-stream"))).receivedBytes;
  } while (sent < file.size);
  show(sent, file.size);
}

async function run() {
  const file = form.elements.database.files[0];
  const key = form.elements.key.files[0];
  const mark = `${file.name}:${file.size}:${file.lastModified}`;
  let from = 0;
  if (sessionStorage.getItem("import-file") === mark) {
    const state = await (await fetch(form.dataset.startAddress)).json();
    if (state.received.receivedBytes < file.size) from = state.received.receivedBytes;
  }
  sessionStorage.setItem("import-file", mark);
  await sendFile(file, from);
  if (key) await answerOf(await send("PUT", form.dataset.keyAddress, key, "application/octet-stream"));
  await answerOf(
    await send("POST", form.dataset.startAddress, JSON.stringify({ fileName: file.name }), "application/json"),
  );
  sessionStorage.removeItem("import-file");
  location.reload();
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  const problem = form.querySelector("[data-problem]");
  button.disabled = true;
  problem.hidden = true;
  try {
    await run();
  } catch (error) {
    if (error.isFromServer) sessionStorage.removeItem("import-file");
    problem.textContent = error.isFromServer ? error.message : form.dataset.lost;
    problem.hidden = false;
    form.querySelector("[data-progress]").hidden = true;
    button.disabled = false;
  }
});

/* Reload after the end of an import, which shows the forms of the page again. */
let wasRunning = document.querySelector("[data-running]") !== null;
document.addEventListener("htmx:afterSwap", () => {
  const isRunning = document.querySelector("[data-running]") !== null;
  if (wasRunning && !isRunning) location.reload();
  wasRunning = isRunning;
});
