/* The settings: say that a test goes out with what is saved, while something above it is not. */

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
