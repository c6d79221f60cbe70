/* Settings: warn that a test uses the saved values while there are unsaved ones; submit selections immediately. */

const form = document.querySelector("[data-watch-changes]");
const note = document.querySelector("[data-unsaved]");

function isChanged(field) {
  if (field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT")
    return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return field.defaultValue !== undefined && field.value !== field.defaultValue;
}

if (form && note) {
  form.addEventListener("input", () => {
    note.hidden = ![...form.elements].some((field) => field.name && field.type !== "hidden" && isChanged(field));
  });
}

/* Scroll the current tab into view, since the list may be longer than the window. */
const tabs = document.querySelector(".settings-side");
const present = tabs?.querySelector("[aria-current]");
if (present) tabs.scrollTop = present.offsetTop + present.offsetHeight - tabs.clientHeight / 2;

function hideWhatScriptsReplace() {
  for (const element of document.querySelectorAll("[data-without-script]")) element.hidden = true;
}

hideWhatScriptsReplace();
document.addEventListener("htmx:afterSwap", hideWhatScriptsReplace);
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-send-on-change] select, [data-send-on-change] input"))
    event.target.form.requestSubmit();
});

/* An option may have a default for another field, as a connection type has its port; a custom value is kept. */
function propose(choice, isFirst) {
  for (const [id, usual] of Object.entries(JSON.parse(choice.dataset.proposes))) {
    const field = document.getElementById(id);
    const isOwn = field.value && (isFirst || !Object.values(usual).includes(field.value));
    if (!isOwn && choice.value in usual) field.value = usual[choice.value];
  }
}

for (const choice of document.querySelectorAll("select[data-proposes]")) propose(choice, true);
document.addEventListener("input", (event) => {
  if (event.target.dataset.proposes) propose(event.target, false);
});

/* Omit empty fields from the URL. */
document.addEventListener("submit", (event) => {
  if (event.target.method !== "get") return;
  for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form[method=get] :disabled")) field.disabled = false;
});
