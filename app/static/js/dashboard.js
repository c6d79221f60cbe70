/* Hover card of a job, also on keyboard focus: the content of its dialog, without a click. */

const POINT_MS = 450;
const LEAVE_MS = 250;
const GAP_PX = 8;
const CACHE_SIZE = 60;
const FRESH_MS = 10000;
const card = document.getElementById("hover-card");
const cache = new Map();
let shownFor = null;
let timer = 0;

/* On touch screens a tap opens the page; the button next to each job opens the dialog. */
const hasPointer = matchMedia("(hover: hover)");

function addressOf(link) {
  const address = new URL(link.href);
  address.pathname += "/job";
  return address.href;
}

async function load(link) {
  const address = addressOf(link);
  const found = cache.get(address);
  if (found && Date.now() - found.at < FRESH_MS) return found.text;
  const response = await fetch(address, { headers: { "HX-Request": "true" } });
  if (!response.ok) return "";
  const text = await response.text();
  if (cache.size >= CACHE_SIZE) cache.clear();
  cache.set(address, { text, at: Date.now() });
  return text;
}

function position(link) {
  const anchor = link.getBoundingClientRect();
  const { width, height } = card.getBoundingClientRect();
  const right = anchor.right + GAP_PX;
  const left = right + width < innerWidth ? right : anchor.left - GAP_PX - width;
  const isBeside = left > 0 && anchor.width < innerWidth / 2;
  const below = anchor.bottom + GAP_PX + height < innerHeight ? anchor.bottom + GAP_PX : anchor.top - GAP_PX - height;
  const x = isBeside ? left : anchor.left;
  const y = isBeside ? anchor.top - GAP_PX : below;
  card.style.left = `${Math.max(GAP_PX, Math.min(x, innerWidth - width - GAP_PX))}px`;
  card.style.top = `${Math.max(GAP_PX, Math.min(y, innerHeight - height - GAP_PX))}px`;
}

async function show(link) {
  shownFor = link;
  const text = await load(link);
  if (!text || shownFor !== link || !link.isConnected) return;
  card.innerHTML = text;
  for (const named of card.querySelectorAll("[id]")) named.removeAttribute("id");
  document.dispatchEvent(new CustomEvent("times:added", { detail: card }));
  card.showPopover();
  position(link);
}

function hide() {
  clearTimeout(timer);
  shownFor = null;
  if (card.matches(":popover-open")) card.hidePopover();
}

function soon(action, delay) {
  clearTimeout(timer);
  timer = setTimeout(action, delay);
}

document.addEventListener("pointerover", (event) => {
  if (event.pointerType !== "mouse" || !hasPointer.matches) return;
  const link = event.target.closest("a[data-card]");
  if (link) {
    if (link !== shownFor) soon(() => show(link), POINT_MS);
    else clearTimeout(timer);
  } else if (card.contains(event.target)) clearTimeout(timer);
  else soon(hide, LEAVE_MS);
});
document.addEventListener("focusin", (event) => {
  const link = event.target.closest("a[data-card]");
  if (link?.matches(":focus-visible")) soon(() => show(link), POINT_MS);
  else if (!card.contains(event.target)) hide();
});
document.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Escape" || !shownFor) return;
    hide();
    event.stopPropagation();
  },
  true,
);
document.addEventListener("pointerdown", (event) => {
  if (!card.contains(event.target)) hide();
});
/* Focusing a job by keyboard may scroll the page; that must not hide the card. */
addEventListener(
  "scroll",
  (event) => {
    if (card.matches(":popover-open") && !card.contains(event.target)) hide();
  },
  { capture: true, passive: true },
);
