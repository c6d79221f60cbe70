/* Sign-in and password forms: show the password, check it while typing, remember the username on this device. */

const REMEMBERED = "duplistatus_remembered_username";
const IS_REMEMBERED = "duplistatus_remember_me_enabled";

for (const button of document.querySelectorAll("[data-reveal]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const field = document.getElementById(button.dataset.reveal);
    const shows = field.type === "password";
    field.type = shows ? "text" : "password";
    button.setAttribute("aria-pressed", String(shows));
    const confirm = document.getElementById("confirm");
    if (button.dataset.reveal === "new" && confirm) {
      confirm.readOnly = shows;
      if (shows) confirm.value = field.value;
      check();
    }
  });
}

function remember(form) {
  const row = form.querySelector("[data-remember]");
  const box = row.querySelector("input");
  row.hidden = false;
  const name = localStorage.getItem(REMEMBERED);
  if (localStorage.getItem(IS_REMEMBERED) === "true" && name) {
    box.checked = true;
    form.elements.username.value ||= name;
    form.elements.password.focus();
  }
  box.addEventListener("change", () => {
    if (!box.checked) {
      localStorage.removeItem(REMEMBERED);
      localStorage.removeItem(IS_REMEMBERED);
    }
  });
  form.addEventListener("submit", () => {
    if (!box.checked) return;
    localStorage.setItem(IS_REMEMBERED, "true");
    localStorage.setItem(REMEMBERED, form.elements.username.value);
  });
}

const rules = document.getElementById("rules");

function check() {
  if (!rules) return;
  const chosen = document.getElementById("new").value;
  const confirm = document.getElementById("confirm");
  if (confirm.readOnly) confirm.value = chosen;
  const met = {
    length: chosen.length >= Number(rules.dataset.minLength),
    upper: /[A-Z]/.test(chosen),
    lower: /[a-z]/.test(chosen),
    digit: /[0-9]/.test(chosen),
    match: chosen !== "" && chosen === confirm.value,
  };
  let all = true;
  for (const rule of rules.children) {
    rule.classList.toggle("is-met", met[rule.dataset.rule]);
    all &&= met[rule.dataset.rule];
  }
  document.querySelector("[data-password-form] .btn-primary").disabled = !all;
}

const login = document.querySelector("[data-login]");
if (login) remember(login);
if (rules) {
  for (const name of ["new", "confirm"]) document.getElementById(name).addEventListener("input", check);
  check();
}

for (const form of document.querySelectorAll("[data-working]")) {
  form.addEventListener("submit", () => {
    const button = form.querySelector(".btn-primary");
    button.textContent = form.dataset.working;
    button.disabled = true;
  });
}
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
