/* Templates: insert placeholders at the cursor, and send a test without leaving the page. */

const form = document.getElementById("template");
let focused = document.getElementById("message");

form.addEventListener("focusin", (event) => {
  if (event.target.matches("#title, #message")) focused = event.target;
});

form.addEventListener("click", (event) => {
  const button = event.target.closest("[data-placeholder]");
  if (!button) return;
  focused.focus();
  focused.setRangeText(button.dataset.placeholder, focused.selectionStart, focused.selectionEnd, "end");
  focused.dispatchEvent(new Event("input", { bubbles: true }));
});

/* htmx sends this form to the preview; its buttons submit normally, and a test result is shown in place. */
form.addEventListener(
  "submit",
  (event) => {
    const button = event.submitter;
    if (!button?.dataset.try) return;
    event.preventDefault();
    button.disabled = true;
    htmx
      .ajax("POST", button.dataset.try, {
        source: button,
        target: "#test-result",
        swap: "innerHTML",
        values: Object.fromEntries(new FormData(form)),
      })
      .finally(() => {
        button.disabled = false;
      });
  },
  true,
);
