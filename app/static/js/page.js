/* On every page: times in the user's time zone, kept up to date; menu, theme, copying and dialog.

   Modules communicate by events of the document instead of imports: an import would name the file without
   the hash of its content, and the browser would run it a second time under that name. */

const { lang: language, dataset: said } = document.documentElement;
const words = JSON.parse(said.words);
const zone = said.zone ? { timeZone: said.zone } : {};
const exactFormat = dateFormat({ dateStyle: "short", timeStyle: "short", ...zone });
const fullFormat = dateFormat({ dateStyle: "full", timeStyle: "long", ...zone });
const dayFormat = dateFormat({ day: "numeric", month: "short", timeZone: "UTC" });
const relativeFormat = new Intl.RelativeTimeFormat(language, { numeric: "always" });

const DAY_S = 86400;
const UNITS = [
  [365 * DAY_S, "year"],
  [30 * DAY_S, "month"],
  [7 * DAY_S, "week"],
  [DAY_S, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
];
const TOKEN_STALE_MS = 20 * 60 * 1000;
const loadedAt = Date.now();

/* The browser may not support the selected locale. */
function dateFormat(form) {
  try {
    return new Intl.DateTimeFormat(said.format || language, form);
  } catch {
    return new Intl.DateTimeFormat(language, form);
  }
}

function unitOf(seconds) {
  const [size, unit] = UNITS.find(([length]) => seconds >= length) ?? UNITS.at(-1);
  return [Math.floor(seconds / size), unit];
}

function counted(count, unit) {
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(count);
}

function monthsBesides(seconds, unit) {
  return unit === "year" ? Math.floor((seconds % (365 * DAY_S)) / (30 * DAY_S)) : 0;
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function lengthText(seconds) {
  const [count, unit] = unitOf(seconds);
  const months = monthsBesides(seconds, unit);
  const time = counted(count, unit);
  return months ? fill(words.and, { time, rest: counted(months, "month") }) : time;
}

export function relativeText(passed) {
  const seconds = Math.abs(passed);
  if (seconds < 15) return words.justNow;
  const [count, unit] = unitOf(seconds);
  if (unit === "year") return fill(passed > 0 ? words.ago : words.ahead, { time: lengthText(seconds) });
  return relativeFormat.format(passed > 0 ? -count : count, unit);
}

export function ageText(passed) {
  if (passed < 0) return words.future;
  if (passed < 60) return words.now;
  const [count, unit] = unitOf(passed);
  const months = monthsBesides(passed, unit);
  return `${count} ${words[unit]}${months ? ` ${months} ${words.month}` : ""}`;
}

const SHOWS = {
  day: (at) => dayFormat.format(at),
  exact: (at) => exactFormat.format(at),
  relative: (_at, passed) => relativeText(passed),
  due: (_at, passed) => (passed < 0 ? relativeText(passed) : words.dueNow),
  age: (_at, passed) => ageText(passed),
  overdue: (_at, passed) => fill(words.overdue, { time: lengthText(Math.max(1, passed)) }),
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
  } catch {
    // without HTTPS there is no clipboard API; an invisible field is used
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "visually-hidden";
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  announce(words.copied);
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (menu !== except) menu.open = false;
  }
}

async function openDialog(link) {
  const dialog = document.getElementById("dialog");
  const response = await fetch(link.dataset.dialog, { headers: { "HX-Request": "true" } });
  if (!response.ok) {
    location.href = link.href;
    return;
  }
  const body = document.getElementById("dialog-body");
  body.innerHTML = await response.text();
  rewriteTimes(body);
  dialog.showModal();
}

function applyTheme(theme) {
  const root = document.documentElement;
  root.className = `theme-${theme} has-script`;
  if (theme === "system") delete root.dataset.bsTheme;
  else root.dataset.bsTheme = theme;
  document.querySelector("meta[name=color-scheme]").content = theme === "system" ? "light dark" : theme;
  for (const button of document.querySelectorAll("[data-theme-form] button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
  document.dispatchEvent(new CustomEvent("theme:changed"));
}

/* A token is valid for half an hour; a page may stay open for a day. */
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
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
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

/* Delays forms that htmx sends, which it would send before the token is renewed. */
document.addEventListener("htmx:confirm", async (event) => {
  const form = event.target;
  if (!form.matches("form") || !isStale(form)) return;
  event.preventDefault();
  form.dataset.hasFreshToken = "true";
  await refreshToken();
  event.detail.issueRequest();
});

/* A page without live updates checks whether the server is reachable, so that no form is filled in for nothing. */
const PING_MS = 30000;
const PING_LIMIT_MS = 5000;
const banner = document.getElementById("connection-lost");

async function ping() {
  const isThere = await fetch(new URL("api/ping", document.querySelector(".brand").href), {
    signal: AbortSignal.timeout(PING_LIMIT_MS),
  }).then(
    (answer) => answer.status < 502,
    () => false,
  );
  banner.hidden = isThere;
}

if (document.querySelector(".brand") && !document.querySelector("[data-live-toggle]")) {
  setInterval(() => {
    if (!document.hidden) ping();
  }, PING_MS);
  addEventListener("online", ping);
  addEventListener("offline", () => {
    banner.hidden = false;
  });
  banner.querySelector("[data-retry]").addEventListener("click", ping);
}

/* With JavaScript a selection submits the form; the button is for pages without. */
document.documentElement.classList.add("has-script");
document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-language-form]");
  if (form) form.requestSubmit();
});

/* Changing the language reloads the page. Typed text is kept, except passwords. */
const TYPED = "duplistatus_typed";
const address = () => location.pathname + location.search;

function typedFields() {
  const fields = document.querySelectorAll("#content :is(input, textarea, select)[id]");
  return [...fields].filter((field) => !["hidden", "password", "file"].includes(field.type));
}

const kindOf = (field) => (["checkbox", "radio"].includes(field.type) ? "checked" : "value");

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-language-form]")) return;
  const values = typedFields().map((field) => [field.id, field[kindOf(field)]]);
  sessionStorage.setItem(TYPED, JSON.stringify({ address: address(), values }));
});

function restoreTyped() {
  const stored = JSON.parse(sessionStorage.getItem(TYPED) ?? "null");
  sessionStorage.removeItem(TYPED);
  if (stored?.address !== address()) return;
  const values = new Map(stored.values);
  for (const field of typedFields()) {
    const kind = kindOf(field);
    if (!values.has(field.id) || field[kind] === values.get(field.id)) continue;
    field[kind] = values.get(field.id);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
restoreTyped();

/* Loads the palette on the first key or click that may open it. */
const palette = document.getElementById("palette");
const MODIFIERS = ["Control", "Meta", "Shift", "Alt"];
const meantForPalette = [];
async function wakePalette(event) {
  if (event.type === "click" && !event.target.closest("[data-palette-open], [data-keys-open]")) return;
  if (MODIFIERS.includes(event.key)) return;
  if ((event.ctrlKey || event.metaKey) && event.key?.toLowerCase() === "k") event.preventDefault();
  if (meantForPalette.push(event) > 1) return; // already loading
  const { start } = await import(palette.dataset.script);
  document.removeEventListener("keydown", wakePalette);
  document.removeEventListener("click", wakePalette);
  start(meantForPalette);
}
if (palette) {
  document.addEventListener("keydown", wakePalette);
  document.addEventListener("click", wakePalette);
}

for (const hidden of document.querySelectorAll("[data-copy], [data-reveal], [data-palette-open], [data-keys-open]"))
  hidden.hidden = false;
rewriteTimes();
document.addEventListener("htmx:afterSwap", () => rewriteTimes());
document.addEventListener("times:added", (event) => rewriteTimes(event.detail));
document.addEventListener("text:copy", (event) => copyText(event.detail));
setInterval(() => {
  if (!document.hidden) rewriteTimes();
}, 1000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) rewriteTimes();
});
