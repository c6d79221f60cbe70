/* On every page: times in the reader's zone that stay true, the menu, the theme, copying, and the dialog.

   Modules speak with each other by events of the document rather than by imports: an import would name the file without
   the hash of its content, and the browser would run it a second time under that name. */

const language = document.documentElement.lang;
const exactFormat = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "short" });
const fullFormat = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" });
const relativeFormat = new Intl.RelativeTimeFormat(language, { numeric: "always" });

const DAY_S = 86400;
const UNITS = [[365 * DAY_S, "year", "y"], [30 * DAY_S, "month", "mo"], [7 * DAY_S, "week", "w"], [DAY_S, "day", "d"], [3600, "hour", "h"], [60, "minute", "m"], [1, "second", "s"]];
const TOKEN_STALE_MS = 20 * 60 * 1000;
const loadedAt = Date.now();

function unitFor(seconds) {
  return UNITS.find(([size]) => seconds >= size) ?? UNITS.at(-1);
}

function amount(seconds) {
  const [size, unit] = unitFor(seconds);
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

function relativeText(passed) {
  const seconds = Math.abs(passed);
  if (seconds < 15) return "just now";
  const [size, unit] = unitFor(seconds);
  const count = Math.floor(seconds / size);
  const months = unit === "year" ? Math.floor((seconds % size) / (30 * DAY_S)) : 0;
  if (months && language.startsWith("en")) {
    const text = `${amount(seconds)} and ${months} month${months === 1 ? "" : "s"}`;
    return passed > 0 ? `${text} ago` : `in ${text}`;
  }
  return relativeFormat.format(passed > 0 ? -count : count, unit);
}

function ageText(passed) {
  if (passed < 0) return "future";
  if (passed < 60) return "now";
  const [size, unit, letters] = unitFor(passed);
  const months = unit === "year" ? Math.floor((passed % size) / (30 * DAY_S)) : 0;
  return `${Math.floor(passed / size)} ${letters}${months ? ` ${months} mo` : ""}`;
}

const dayFormat = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", timeZone: "UTC" });

const SHOWS = {
  day: (at) => dayFormat.format(at),
  exact: (at) => exactFormat.format(at),
  relative: (at, passed) => relativeText(passed),
  due: (at, passed) => (passed < 0 ? relativeText(passed) : "due now"),
  age: (at, passed) => ageText(passed),
  overdue: (at, passed) => `overdue by ${amount(Math.max(1, passed))}`,
};

function rewriteTimes(root = document) {
  const now = Date.now();
  for (const time of root.querySelectorAll("time[data-show]")) {
    const at = new Date(time.dateTime);
    const text = SHOWS[time.dataset.show](at, Math.floor((now - at) / 1000));
    if (time.textContent !== text) time.textContent = text;
    if (!time.title) time.title = fullFormat.format(at);
  }
}

function announce(text) {
  const note = document.createElement("div");
  note.className = "toast-note";
  note.textContent = text;
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), 3000);
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // without HTTPS there is no clipboard; an invisible field does it
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "visually-hidden";
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  announce("Copied");
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (menu !== except) menu.open = false;
  }
}

async function openDialog(link) {
  const dialog = document.getElementById("dialog");
  const response = await fetch(link.dataset.dialog, { headers: { "HX-Request": "true" } });
  if (!response.ok) { location.href = link.href; return; }
  const body = document.getElementById("dialog-body");
  body.innerHTML = await response.text();
  rewriteTimes(body);
  dialog.showModal();
}

function applyTheme(theme) {
  const root = document.documentElement;
  root.className = `theme-${theme}`;
  if (theme === "system") delete root.dataset.bsTheme;
  else root.dataset.bsTheme = theme;
  document.querySelector("meta[name=color-scheme]").content = theme === "system" ? "light dark" : theme;
  for (const button of document.querySelectorAll("[data-theme-form] button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
  document.dispatchEvent(new CustomEvent("theme:changed"));
}

/* A token lives half an hour; a page may stay open for a day. */
async function refreshToken() {
  const brand = document.querySelector(".brand");
  const response = await fetch(new URL("api/csrf", new URL(brand?.href ?? "/", location)));
  if (!response.ok) return;
  const { token } = await response.json();
  for (const field of document.querySelectorAll("input[name=csrf_token]")) field.value = token;
}

function isStale(form) {
  return form.method === "post" && Date.now() - loadedAt > TOKEN_STALE_MS && !form.dataset.hasFreshToken;
}

document.addEventListener("click", (event) => {
  closeMenus(event.target.closest("details[data-menu]"));
  const copy = event.target.closest("[data-copy]");
  if (copy) copyText(document.querySelector(copy.dataset.copy).textContent);
  const link = event.target.closest("a[data-dialog]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    openDialog(link);
  }
  if (event.target.matches("dialog")) event.target.close();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = document.querySelector("details[data-menu][open]");
  if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches("[data-theme-form]")) {
    event.preventDefault();
    const data = new FormData(form, event.submitter);
    applyTheme(event.submitter.value);
    await refreshToken();
    data.set("csrf_token", form.elements.csrf_token.value);
    await fetch(form.action, { method: "POST", body: new URLSearchParams(data) });
  } else if (isStale(form) && !form.matches("[hx-post]")) {
    event.preventDefault();
    form.dataset.hasFreshToken = "true";
    await refreshToken();
    form.requestSubmit(event.submitter);
  }
});

/* Forms that htmx sends are held back here: it would send them before the token is fresh. */
document.addEventListener("htmx:confirm", async (event) => {
  const form = event.target;
  if (!form.matches("form") || !isStale(form)) return;
  event.preventDefault();
  form.dataset.hasFreshToken = "true";
  await refreshToken();
  event.detail.issueRequest();
});

for (const hidden of document.querySelectorAll("[data-copy], [data-reveal]")) hidden.hidden = false;
rewriteTimes();
document.addEventListener("htmx:afterSwap", () => rewriteTimes());
document.addEventListener("text:copy", (event) => copyText(event.detail));
setInterval(() => { if (!document.hidden) rewriteTimes(); }, 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) rewriteTimes(); });
