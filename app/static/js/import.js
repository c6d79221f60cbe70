/* Sends an old database in small pieces, so that it may be large, no proxy minds, and a lost connection loses little;
   then has it imported. Without script the form sends it as a whole. */

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
    } catch (trouble) {
      // no answer at all: the connection may come back
      if (attempt === TRIES) throw trouble;
      await new Promise((go) => {
        setTimeout(go, PAUSE_MS * attempt);
      });
    }
  }
}

async function answerOf(response) {
  const told = await response.json();
  if (!response.ok && told.receivedBytes === undefined) throw Object.assign(new Error(told.error), { isTold: true });
  return told;
}

function show(sent, total) {
  const share = total ? sent / total : 0;
  const place = form.querySelector("[data-progress]");
  place.hidden = false;
  place.querySelector("progress").value = 100 * share;
  place.querySelector("p").textContent = form.dataset.sending.replace("{share}", percentFormat.format(share));
}

/* The server says how much has arrived, also of a try before this one; so it alone decides what comes next. */
async function sendFile(file, from) {
  const pieceBytes = Number(form.dataset.pieceBytes);
  let sent = from;
  do {
    show(sent, file.size);
    const piece = file.slice(sent, sent + pieceBytes);
    const address = `${form.dataset.fileAddress}?offset=${sent}&total=${file.size}`;
    sent = (await answerOf(await send("PUT", address, piece, "application/octet-stream"))).receivedBytes;
  } while (sent < file.size);
  show(sent, file.size);
}

async function run() {
  const file = form.elements.database.files[0];
  const key = form.elements.key.files[0];
  const mark = `${file.name}:${file.size}:${file.lastModified}`;
  let from = 0;
  if (sessionStorage.getItem("import-file") === mark) {
    const told = await (await fetch(form.dataset.startAddress)).json();
    if (told.received.receivedBytes < file.size) from = told.received.receivedBytes;
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
  } catch (trouble) {
    if (trouble.isTold) sessionStorage.removeItem("import-file");
    problem.textContent = trouble.isTold ? trouble.message : form.dataset.lost;
    problem.hidden = false;
    form.querySelector("[data-progress]").hidden = true;
    button.disabled = false;
  }
});

/* An import that has just ended: the forms of the page come back. */
let wasRunning = document.querySelector("[data-running]") !== null;
document.addEventListener("htmx:afterSwap", () => {
  const isRunning = document.querySelector("[data-running]") !== null;
  if (wasRunning && !isRunning) location.reload();
  wasRunning = isRunning;
});
