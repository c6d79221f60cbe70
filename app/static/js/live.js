/* Refreshes the live part of a page at the chosen interval; the server responds 304 if nothing changed. */

const LIMIT_MS = 5000;
const toggle = document.querySelector("[data-live-toggle]");
const banner = document.getElementById("connection-lost");
const favicon = document.getElementById("favicon");
const everyMs = Number(toggle.dataset.everyS) * 1000;
let isOn = toggle.getAttribute("aria-pressed") === "true";
let isLost = false;

const board = () => document.querySelector("[data-live]");

function refresh() {
  if (isOn && !document.hidden && board()) htmx.trigger(board(), "live:refresh");
}

function showState() {
  toggle.setAttribute("aria-pressed", String(isOn));
  toggle.classList.toggle("is-lost", isLost);
  toggle.querySelector("[data-live-text]").textContent = toggle.dataset[isLost ? "lost" : isOn ? "on" : "off"];
  toggle.title = toggle.dataset[isOn ? "pause" : "resume"];
}

function setLost(lost) {
  if (lost === isLost) return;
  isLost = lost;
  banner.hidden = !lost;
  showState();
}

/* Morphing updates what differs and keeps elements that are in use. */
Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) =>
  !(old === document.activeElement && old.matches?.("input, select, textarea"));
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
  !(name === "open" && node.matches("details")) && !(name === "hidden" && node.matches("[data-copy]"));
Idiomorph.defaults.callbacks.beforeNodeRemoved = (node) => !node.matches?.("[data-drawn]");

document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.triggeringEvent?.type === "live:refresh") {
    event.detail.headers["If-None-Match"] = `"${event.detail.elt.dataset.etag}"`;
  }
});
document.addEventListener("htmx:beforeRequest", (event) => {
  event.detail.xhr.timeout = LIMIT_MS;
});
document.addEventListener("htmx:afterRequest", (event) => setLost(event.detail.xhr.status === 0));
document.addEventListener("htmx:responseError", (event) => setLost(event.detail.xhr.status >= 502));
document.addEventListener("htmx:afterSwap", () => {
  const fresh = board();
  if (!fresh) return;
  if (fresh.dataset.title) document.title = fresh.dataset.title;
  if (fresh.dataset.favicon) favicon.href = fresh.dataset.favicon;
  for (const button of fresh.querySelectorAll("[data-copy]")) button.hidden = false;
  toggle.classList.remove("is-fresh");
  requestAnimationFrame(() => toggle.classList.add("is-fresh"));
});

toggle.addEventListener("click", () => {
  isOn = !isOn;
  showState();
  refresh();
});
banner.querySelector("[data-retry]").addEventListener("click", () => {
  isOn = true;
  refresh();
});
addEventListener("online", refresh);
addEventListener("offline", () => setLost(true));
document.addEventListener("visibilitychange", refresh);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.id === "filter" && !event.target.value) event.target.blur();
});

toggle.hidden = false;
showState();
setInterval(refresh, everyMs);
