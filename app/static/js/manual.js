/* The API page: search while typing, and expand the endpoint in the URL. Without JavaScript the form searches. */

const form = document.querySelector("[data-manual-search]");
const operations = [...document.querySelectorAll("[data-operation]")];
const sections = [...document.querySelectorAll("[data-manual-section]")];
const count = document.querySelector("[data-manual-count]");

function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const operation of operations)
    operation.hidden = !words.every((word) => operation.dataset.operation.includes(word));
  for (const section of sections) {
    const shown = section.querySelectorAll("[data-operation]:not([hidden])").length;
    section.hidden = shown === 0;
    document.querySelector(`[data-manual-group="${section.id}"]`).hidden = shown === 0;
  }
  const found = operations.filter((operation) => !operation.hidden).length;
  count.textContent = words.length
    ? count.dataset.found.replace("{found}", found).replace("{all}", operations.length)
    : "";
}

function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) target.open = true;
}

form.querySelector("button").hidden = true;
form.addEventListener("submit", (event) => event.preventDefault());
form.elements.q.addEventListener("input", () => search(form.elements.q.value));
addEventListener("hashchange", unfold);
unfold();
