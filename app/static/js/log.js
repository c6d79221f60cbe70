/* The log of a run: filter by line type, search with highlights, source of each line, copying.

   The page holds the first thousand lines of each kind; the others are fetched when a search or a copy needs them. Marks
   are set in slices between frames, so that ten thousand lines do not delay typing. */

const SLICE_MS = 8;
const log = document.querySelector("[data-log]");
const field = log.querySelector("#log-text");
const message = log.querySelector("[data-log-found]");
let kind = new URLSearchParams(location.search).get("show") ?? "";
let searches = 0;
let marks = [];
let current = -1;

const pause = () =>
  new Promise((resolve) => {
    requestAnimationFrame(resolve);
  });

/* Fetches the lines that the page omits; returns false on failure. */
async function loadWhole() {
  if (!log.dataset.logWhole) return true;
  message.textContent = message.dataset.loading;
  try {
    const answer = await fetch(log.dataset.logWhole);
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.getElementById("log-body").replaceWith(page.getElementById("log-body"));
    delete log.dataset.logWhole;
    message.textContent = "";
    return true;
  } catch {
    message.textContent = message.dataset.lost;
    return false;
  }
}

const lines = () => log.querySelectorAll(".log-lines li");

function unmark(text) {
  if (text.firstElementChild) text.replaceChildren(text.textContent);
}

function mark(text, pattern) {
  const content = text.textContent;
  const parts = [];
  let from = 0;
  for (const found of content.matchAll(pattern)) {
    const element = document.createElement("mark");
    element.textContent = found[0];
    parts.push(content.slice(from, found.index), element);
    marks.push(element);
    from = found.index + found[0].length;
  }
  text.replaceChildren(...parts, content.slice(from));
}

async function search() {
  const mine = ++searches;
  const wanted = field.value.trim();
  if ((wanted || kind) && !(await loadWhole())) return;
  if (mine !== searches) return;
  const pattern = wanted ? new RegExp(wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi") : null;
  const found = [];
  let matchCount = 0;
  for (const section of log.querySelectorAll("[data-log-section]")) {
    const isWanted = !kind || section.dataset.logSection === kind;
    let inSection = 0;
    for (const line of section.querySelectorAll(".log-lines li")) {
      const text = line.querySelector(".log-text");
      const count = isWanted && pattern ? [...text.textContent.matchAll(pattern)].length : 0;
      const isShown = isWanted && (!pattern || count > 0);
      if (line.hidden === isShown) line.hidden = !isShown;
      if (count) {
        found.push(text);
        matchCount += count;
      } else {
        unmark(text);
      }
      inSection += isShown;
    }
    section.hidden = !inSection;
  }
  marks = [];
  current = -1;
  log.querySelector("[data-log-steps]").hidden = matchCount === 0;
  message.textContent = !wanted
    ? ""
    : matchCount
      ? message.dataset.places.replace("{places}", matchCount).replace("{lines}", found.length)
      : message.dataset.none;
  remember(wanted);
  let since = performance.now();
  for (const text of found) {
    if (performance.now() - since > SLICE_MS) {
      await pause();
      if (mine !== searches) return;
      since = performance.now();
    }
    mark(text, pattern);
  }
}

/* The filter is part of the URL, so that it can be shared. */
function remember(wanted) {
  const address = new URL(location);
  for (const [name, value] of [
    ["q", wanted],
    ["show", kind],
  ]) {
    if (value) address.searchParams.set(name, value);
    else address.searchParams.delete(name);
  }
  history.replaceState(history.state, "", address);
}

function step(by) {
  if (!marks.length) return;
  marks[current]?.classList.remove("is-current");
  current = (current + by + marks.length) % marks.length;
  marks[current].classList.add("is-current");
  marks[current].scrollIntoView({ block: "center" });
}

async function copy() {
  const isFiltered = Boolean(field.value.trim() || kind);
  let text;
  if (isFiltered) {
    text = [...lines()]
      .filter((line) => !line.hidden && !line.closest("[hidden]"))
      .map((line) => line.textContent.trim())
      .join("\n");
  } else {
    const answer = await fetch(log.dataset.copyFrom);
    if (!answer.ok) {
      message.textContent = message.dataset.lost;
      return;
    }
    text = await answer.text();
  }
  document.dispatchEvent(new CustomEvent("text:copy", { detail: text }));
}

if (field) {
  let waiting = 0;
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 120);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && marks.length) {
      event.preventDefault();
      step(event.shiftKey ? -1 : 1);
    }
  });
  log.querySelector("[data-log-search]").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  log
    .querySelector("[data-log-marks]")
    .addEventListener("change", (event) => log.classList.toggle("shows-marks", event.target.checked));
  log.querySelector("[data-log-copy]").addEventListener("click", copy);
  log.addEventListener("click", (event) => {
    const stepper = event.target.closest("[data-log-step]");
    if (stepper) step(Number(stepper.dataset.logStep));
    const all = event.target.closest("[data-log-all]");
    if (all) {
      event.preventDefault();
      loadWhole().then(search);
    }
    const choice = event.target.closest("[data-log-kind]");
    if (!choice) return;
    event.preventDefault();
    kind = choice.dataset.logKind;
    for (const each of log.querySelectorAll("[data-log-kind]")) {
      if (each === choice) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    }
    search();
  });
  if (field.value) search();
}
