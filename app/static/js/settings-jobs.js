/* Tables of jobs in the settings: autosaved rows, bulk selection, and a filter while typing. */

const SAVE_AFTER_MS = 500;
const form = document.querySelector("form[data-autosave]");
const rows = () => [...document.querySelectorAll("tr[data-row]")];
const shownRows = () => rows().filter((row) => !row.hidden);

/* Autosave */
const state = document.getElementById("save-state");
const dirty = new Set();
let timer = 0;
let isSaving = false;

class SessionEnded extends Error {}

function say(word) {
  state.textContent = state.dataset[word];
  state.classList.toggle("is-failed", word === "failed");
}

function show(...content) {
  const note = document.createElement("div");
  note.className = "toast-note";
  note.setAttribute("role", "alert");
  const close = document.createElement("button");
  close.className = "link-button";
  close.textContent = "×";
  close.addEventListener("click", () => note.remove());
  note.append(...content, " ", close);
  document.getElementById("toasts").append(note);
  return note;
}

/* Sign-in opens in another tab, so that this one keeps its changes and saves them on return. */
let endedNote = null;

function showEnded() {
  if (endedNote?.isConnected) return;
  const link = document.createElement("a");
  link.href = state.dataset.login;
  link.target = "_blank";
  link.textContent = state.dataset.signIn;
  endedNote = show(state.dataset.ended, " ", link);
}

function entries(changed) {
  const data = new FormData();
  data.set("csrf_token", form.elements.csrf_token.value);
  for (const row of changed) {
    for (const field of row.querySelectorAll("input[name], select[name]")) {
      if (field.form === form && (field.type !== "checkbox" || field.checked)) data.append(field.name, field.value);
    }
  }
  return new URLSearchParams(data);
}

async function post(changed) {
  const send = () =>
    fetch(form.action, {
      method: "POST",
      body: entries(changed),
      headers: { Accept: "application/json" },
      keepalive: true,
    });
  const answer = await send();
  if (answer.status !== 403) return answer;
  const fresh = await fetch(new URL("api/csrf", new URL(document.querySelector(".brand").href)));
  if (!fresh.ok) return answer;
  form.elements.csrf_token.value = (await fresh.json()).token; // the page may be older than its token
  return send();
}

/* Saves one after the other: each request includes the previous state of its rows, which the last one returned. */
async function save() {
  clearTimeout(timer);
  if (isSaving || !dirty.size) return;
  const changed = [...dirty];
  dirty.clear();
  isSaving = true;
  say("saving");
  try {
    const answer = await post(changed);
    const data = answer.headers.get("Content-Type")?.startsWith("application/json") ? await answer.json() : {};
    if (answer.redirected) throw new SessionEnded();
    if (!data.states) throw new Error(data.error ?? "");
    for (const [id, value] of Object.entries(data.states)) form.elements[`was.${id}`].value = value;
    say("saved");
    endedNote?.remove();
    if (dirty.size) timer = setTimeout(save);
  } catch (error) {
    for (const row of changed) dirty.add(row);
    say("failed");
    if (error instanceof SessionEnded) {
      showEnded();
      return;
    }
    const hasReason = error.message && !(error instanceof TypeError); // TypeError: lost connection
    show(hasReason ? `${state.dataset.failed}: ${error.message}` : state.dataset.failed);
  } finally {
    isSaving = false;
  }
}

function mark(row) {
  dirty.add(row);
  clearTimeout(timer);
  timer = setTimeout(save, SAVE_AFTER_MS);
}

if (form && state) {
  form.addEventListener("change", (event) => {
    const row = event.target.closest("tr[data-row]");
    if (row && event.target.form === form) mark(row);
  });
  addEventListener("focus", () => {
    if (endedNote?.isConnected) save();
  });
  addEventListener("pagehide", () => {
    if (dirty.size) post(dirty);
  });
}

/* Set a column of all shown rows */
function boxesOf(kind) {
  return shownRows()
    .map((row) => row.querySelector(`[data-kind="${kind}"]`))
    .filter(Boolean);
}

function showColumns() {
  for (const box of document.querySelectorAll("[data-column]")) {
    const all = boxesOf(box.dataset.column);
    box.checked = all.length > 0 && all.every((one) => one.checked);
    box.indeterminate = !box.checked && all.some((one) => one.checked);
  }
}

/* Bulk selection */
const many = document.querySelector("form[data-many]");
const picks = () => [...document.querySelectorAll("input[name=pick]")];

/* Returns the rows that a checkbox selects: the shown ones, of its server or all. */
function scopeOf(box) {
  const group = box.matches("[data-pick-group]") && box.closest("tbody");
  return shownRows().filter((row) => !group || group.contains(row));
}

function showPicked() {
  if (!many) return;
  const picked = picks().filter((box) => box.checked);
  many.hidden = picked.length === 0;
  const count = many.querySelector("[data-picked]");
  count.textContent = count.dataset.words.replace("{count}", picked.length);
  for (const box of document.querySelectorAll("[data-pick-all], [data-pick-group]")) {
    const own = scopeOf(box)
      .map((row) => row.querySelector("input[name=pick]"))
      .filter(Boolean);
    box.checked = own.length > 0 && own.every((one) => one.checked);
    box.indeterminate = !box.checked && own.some((one) => one.checked);
  }
}

document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.matches("[data-column]")) {
    for (const one of boxesOf(box.dataset.column)) {
      if (one.disabled || one.checked === box.checked) continue;
      one.checked = box.checked;
      mark(one.closest("tr"));
    }
  }
  if (box.matches("[data-pick-all], [data-pick-group]")) {
    for (const row of scopeOf(box)) row.querySelector("input[name=pick]").checked = box.checked;
  }
  showColumns();
  showPicked();
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-pick-none]")) return;
  for (const box of picks()) box.checked = false;
  showPicked();
});

/* Entering a value selects its option */
document.addEventListener("input", (event) => {
  const choice = event.target.dataset?.chooses && document.getElementById(event.target.dataset.chooses);
  if (!choice) return;
  if (choice.type === "radio") choice.checked = true;
  else choice.value = "own";
});

/* Filter */
const filter = document.querySelector("[data-filter-rows]");

function applyFilter() {
  const wanted = filter.value.trim().toLowerCase();
  for (const group of document.querySelectorAll("tbody[data-group]")) {
    const isWhole = group.dataset.words.includes(wanted);
    let any = false;
    for (const row of group.querySelectorAll("tr[data-row]")) {
      row.hidden = !isWhole && !row.dataset.words.includes(wanted);
      any ||= !row.hidden;
    }
    group.hidden = !any;
  }
  const none = document.querySelector("[data-no-rows]");
  if (none) none.hidden = shownRows().some((row) => !row.closest("tbody").hidden);
  showColumns();
  showPicked();
}

if (filter) {
  filter.addEventListener("input", applyFilter);
  filter.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    filter.value = "";
    applyFilter();
  });
}

for (const hidden of document.querySelectorAll("[data-pick-all], [data-pick-group], [data-column], [data-pick-none]"))
  hidden.hidden = false;
showColumns();
showPicked();

/* Monitoring: disabled options cannot be changed, and a warning about unsaved changes */
const watched = document.querySelector("form[data-watch-rows]");

function isChanged(field) {
  if (field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") return ![...field.selectedOptions].every((option) => option.defaultSelected);
  return field.type !== "hidden" && field.value !== field.defaultValue;
}

function showSwitched(row) {
  for (const cell of row.querySelectorAll("[data-switched]"))
    cell.inert = !row.querySelector("[data-switches]").checked;
}

if (watched) {
  let isSending = false;
  const unsaved = watched.querySelector("[data-rows-unsaved]");
  const anyChanged = () => [...watched.elements].some((field) => field.name && isChanged(field));
  for (const row of rows()) showSwitched(row);
  watched.addEventListener("input", (event) => {
    if (event.target.matches("[data-switches]")) showSwitched(event.target.closest("tr"));
    if (unsaved) unsaved.hidden = !anyChanged();
  });
  watched.addEventListener("submit", () => {
    isSending = true;
  });
  addEventListener("beforeunload", (event) => {
    if (!isSending && anyChanged()) event.preventDefault();
  });
}
