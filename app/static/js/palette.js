/* The command palette and keyboard shortcuts. `page.js` loads this file when a key or the button is first used; the
   entries are loaded when the palette is first opened. */

const SHOWN = 40;
const palette = document.getElementById("palette");
const keysDialog = document.getElementById("keys");

/* Starts, with the events that happened so far. */
export function start(events) {
  const query = palette.querySelector("input");
  const list = palette.querySelector("ul");
  const empty = palette.querySelector(".palette-empty");
  const sprite = document.querySelector("svg.icon use")?.getAttribute("href").split("#")[0];
  let entries = null;
  let chosen = 0;
  let pressed = "";
  let pressedAt = 0;

  async function open() {
    if (document.querySelector("dialog[open]")) return;
    palette.showModal();
    query.value = "";
    query.focus();
    if (!entries) {
      const response = await fetch(palette.dataset.entries, { headers: { Accept: "application/json" } });
      entries = response.ok ? await response.json() : [];
    }
    show();
  }

  function show() {
    const hits = find(entries ?? [], query.value);
    chosen = 0;
    empty.hidden = hits.length > 0 || entries === null;
    list.replaceChildren(...hits.map(row));
    mark();
  }

  function row(entry, place) {
    const item = document.createElement("li");
    item.id = `palette-${place}`;
    item.setAttribute("role", "option");
    item.dataset.href = entry.href;
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    picture.setAttribute("class", "icon");
    picture.setAttribute("aria-hidden", "true");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `${sprite}#${entry.icon}`);
    picture.append(use);
    item.append(
      picture,
      part("palette-label", entry.label),
      part("palette-hint", entry.hint),
      part("palette-group", entry.group),
    );
    return item;
  }

  function part(name, text) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    return span;
  }

  function mark() {
    for (const [place, item] of [...list.children].entries())
      item.setAttribute("aria-selected", String(place === chosen));
    const item = list.children[chosen];
    if (item) {
      query.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else query.removeAttribute("aria-activedescendant");
  }

  function move(steps) {
    const count = list.children.length;
    if (count) chosen = (chosen + steps + count) % count;
    mark();
  }

  query.addEventListener("input", show);
  query.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter" && list.children[chosen]) location.href = list.children[chosen].dataset.href;
    else return;
    event.preventDefault();
  });
  list.addEventListener("click", (event) => {
    const item = event.target.closest("li");
    if (item) location.href = item.dataset.href;
  });

  function handle(event) {
    if (event.type === "click") {
      if (event.target.closest("[data-palette-open]")) open();
      if (event.target.closest("[data-keys-open]")) keysDialog.showModal();
      return;
    }
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
      return;
    }
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    follow(event);
  }

  /* Two keys within a second form a sequence. */
  function follow(event) {
    pressed = event.timeStamp - pressedAt < 1000 ? pressed + event.key : event.key;
    pressedAt = event.timeStamp;
    const filter = document.querySelector("main input[type=search]");
    if (event.key === "?") keysDialog.showModal();
    else if (event.key === "/" && filter) filter.focus();
    else {
      const link = [...keysDialog.querySelectorAll("a[data-keys]")].find((known) =>
        pressed.endsWith(known.dataset.keys),
      );
      if (!link) return;
      location.href = link.href;
    }
    event.preventDefault();
  }

  document.addEventListener("keydown", handle);
  document.addEventListener("click", handle);
  events.forEach(handle);
}

/* Returns entries with every word of the query; names that start with the query first. */
export function find(entries, query) {
  const typed = plain(query.trim());
  const wanted = typed.split(/\s+/).filter(Boolean);
  const hits = entries.filter(({ label, hint, group }) => {
    const searched = plain(`${label} ${hint} ${group}`);
    return wanted.every((word) => searched.includes(word));
  });
  const ranks = new Map(hits.map((entry) => [entry, rank(plain(entry.label), typed)]));
  return hits.sort((one, other) => ranks.get(one) - ranks.get(other)).slice(0, SHOWN);
}

function rank(label, typed) {
  if (label.startsWith(typed)) return 0;
  return label.includes(typed) ? 1 : 2;
}

/* Returns the text in lower case without accents. */
function plain(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}
