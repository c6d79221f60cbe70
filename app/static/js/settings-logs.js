/* Application logs: follow the file, stay at its end, and jump to either end. */

const EVERY_MS = 2000;
const follow = document.getElementById("follow");
const text = () => document.getElementById("log-text");

function goToEnd() {
  const lines = text();
  if (lines) lines.scrollTop = lines.scrollHeight;
}

for (const hidden of document.querySelectorAll("[data-with-script]")) hidden.hidden = false;
for (const button of document.querySelectorAll("[data-scroll-log]")) {
  button.addEventListener("click", () => {
    if (button.dataset.scrollLog === "end") goToEnd();
    else if (text()) text().scrollTop = 0;
  });
}

document.addEventListener("htmx:afterSwap", () => {
  if (follow?.checked) goToEnd();
});
follow?.addEventListener("change", () => {
  if (follow.checked) goToEnd();
});
if (follow) {
  setInterval(() => {
    if (follow.checked && !document.hidden) htmx.trigger(document.getElementById("log"), "log:follow");
  }, EVERY_MS);
  goToEnd();
}
