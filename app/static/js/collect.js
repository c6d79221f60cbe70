/* The list of servers: test all, a few at a time, and show the results. */

const AT_ONCE = 4;
const button = document.querySelector("[data-try-all]");
const forms = [...document.querySelectorAll("[data-try]")].filter((form) => !form.querySelector("button").disabled);

function tryOne(form) {
  return new Promise((resolve) => {
    form.addEventListener("htmx:afterRequest", resolve, { once: true });
    form.requestSubmit();
  });
}

async function tryAll() {
  const waiting = [...forms];
  button.disabled = true;
  const work = async () => {
    while (waiting.length) await tryOne(waiting.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  button.disabled = false;
}

if (button && forms.length) {
  button.hidden = false;
  button.addEventListener("click", tryAll);
}
