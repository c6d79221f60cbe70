/* The log of a run: search within it, show which part of Duplicati spoke, copy it. */

const log = document.querySelector(".log");
const tools = log.querySelector("[data-log-tools]");

function mark(element, wanted) {
  const text = element.textContent;
  const parts = [];
  let from = 0;
  for (let at = wanted ? text.toLowerCase().indexOf(wanted) : -1; at >= 0; at = text.toLowerCase().indexOf(wanted, from)) {
    const found = document.createElement("mark");
    found.textContent = text.slice(at, at + wanted.length);
    parts.push(text.slice(from, at), found);
    from = at + wanted.length;
  }
  element.replaceChildren(...parts, text.slice(from));
}

function search(wanted) {
  let found = 0;
  for (const section of log.querySelectorAll("[data-log-section]")) {
    let inSection = 0;
    for (const line of section.querySelectorAll(".log-lines li")) {
      const isFound = line.textContent.toLowerCase().includes(wanted);
      line.hidden = !isFound;
      inSection += isFound;
      if (isFound || !wanted) mark(line.querySelector(".log-text"), wanted);
    }
    section.hidden = !inSection;
    found += inSection;
  }
  log.querySelector("[data-log-found]").textContent = wanted ? `${found} lines found` : "";
}

if (tools) {
  tools.hidden = false;
  const field = tools.querySelector("[data-log-filter]");
  field.addEventListener("input", () => search(field.value.trim().toLowerCase()));
  tools.querySelector("[data-log-marks]").addEventListener("change", (event) => log.classList.toggle("shows-marks", event.target.checked));
  tools.querySelector("[data-log-copy]").addEventListener("click", () => {
    const lines = [...log.querySelectorAll(".log-lines li:not([hidden])")].map((line) => line.textContent.trim());
    document.dispatchEvent(new CustomEvent("text:copy", { detail: lines.join("\n") }));
  });
}
