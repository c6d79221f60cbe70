/* The settings: say that a test goes out with what is saved, while something above it is not; send choices at once. */

const form = document.querySelector("[data-watch-changes]");
const note = document.querySelector("[data-unsaved]");

function isChanged(field) {
  if (field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return field.defaultValue !== undefined && field.value !== field.defaultValue;
}

if (form && note) {
  form.addEventListener("input", () => {
    note.hidden = ![...form.elements].some((field) => field.name && field.type !== "hidden" && isChanged(field));
  });
}

function hideWhatScriptsReplace() {
  for (const element of document.querySelectorAll("[data-without-script]")) element.hidden = true;
}

hideWhatScriptsReplace();
document.addEventListener("htmx:afterSwap", hideWhatScriptsReplace);
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-send-on-change] select, [data-send-on-change] input")) event.target.form.requestSubmit();
});

/* What is empty asks for nothing, so it need not stand in the address. */
document.addEventListener("submit", (event) => {
  if (event.target.method !== "get") return;
  for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form[method=get] :disabled")) field.disabled = false;
});
