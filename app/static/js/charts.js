/* Draws the charts of a page from the tables below them, which serve screen readers.

   Dragging across a chart requests these days from the server, so that chart, table and saved image agree. */

const BYTES = ["B", "KB", "MB", "GB", "TB", "PB"];
const DAY_MS = 86_400_000;
const PICTURE_SCALE = 2;
const root = document.documentElement;
const locale = root.dataset.format || root.lang;
const dayFormat = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" });
const numberFormat = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const drawn = new Map();

/* Labels of an axis share a unit and have as many decimals as their distance needs. */
export function bytesText(value, largest = value, step = 0) {
  const power = largest < 1024 ? 0 : Math.min(BYTES.length - 1, Math.floor(Math.log2(largest) / 10));
  const size = 1024 ** power;
  const decimals = step ? Math.max(0, Math.min(3, Math.ceil(-Math.log10(step / size)))) : power < 3 ? 0 : 1;
  return `${(value / size).toLocaleString(locale, { minimumFractionDigits: decimals, maximumFractionDigits: decimals })} ${BYTES[power]}`;
}

export function secondsText(value, largest = value) {
  const pad = (number) => String(Math.floor(number)).padStart(2, "0");
  return largest < 3600
    ? `${pad(value / 60)}:${pad(value % 60)} min`
    : `${pad(value / 3600)}:${pad((value % 3600) / 60)} h`;
}

const TEXTS = {
  bytes: bytesText,
  seconds: secondsText,
  count: (value) => numberFormat.format(value),
  ratio: (value) => `${numberFormat.format(value * 100)} %`,
};

/* Round steps are powers of two for bytes, and parts of an hour for durations. */
const steps = {
  bytes: { incrs: Array.from({ length: 60 }, (_, power) => 2 ** power) },
  seconds: {
    incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 172800],
  },
  count: { incrs: Array.from({ length: 36 }, (_, place) => [1, 2, 5][place % 3] * 10 ** Math.floor(place / 3)) },
};

function readTable(figure) {
  const table = document.querySelector(figure.dataset.table);
  const rows = [...table.tBodies[0].rows];
  const heads = table.tHead.rows[0].cells;
  const value = (cell) => (cell.dataset.value === undefined ? null : Number(cell.dataset.value));
  return {
    days: rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000),
    lines: figure.dataset.columns.split(" ").map((column) => ({
      label: heads[column].textContent,
      values: rows.map((row) => value(row.cells[column])),
    })),
  };
}

/* The axis extends a tenth beyond the values, not below zero; bars start at zero. */
export function scaleFrom(isOnGround) {
  return (_plot, least, most) => {
    if (least === null) return [0, 1];
    const margin = (most - least) * 0.1 || most * 0.1 || 1;
    return [isOnGround ? 0 : Math.max(0, least - margin), most + margin];
  };
}

function colourOf(canvas, name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  canvas.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function lineColour(canvas, number) {
  const probe = document.createElement("span");
  probe.dataset.colour = String(Math.min(number, 8));
  probe.style.color = "var(--series)";
  canvas.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

const paler = (colour) =>
  colour.startsWith("rgb(") ? colour.replace("rgb(", "rgba(").replace(")", ", 0.1)") : undefined;

/* Stacks each line on those before it; missing values count as zero. */
export function stacked(lines) {
  const sums = lines[0].values.map(() => 0);
  return lines.map((line) => line.values.map((value, place) => (sums[place] += value ?? 0)));
}

function draw(figure, style) {
  const canvas = figure.querySelector(".chart-canvas");
  canvas.replaceChildren();
  const { days, lines } = readTable(figure);
  if (!lines.some((line) => line.values.some((value) => value !== null))) {
    const note = document.createElement("p");
    note.className = "nothing";
    note.dataset.drawn = "";
    note.textContent = figure.closest("[data-charts]").dataset.noValues;
    canvas.append(note);
    return;
  }
  const isSplit = lines.length > 1;
  const hasBars = style === "bars" && (!isSplit || "stackable" in figure.dataset);
  const isStacked = hasBars && isSplit;
  const colours = lines.map((_, place) => lineColour(canvas, isSplit ? place + 1 : Number(figure.dataset.colour)));
  const text = TEXTS[figure.dataset.unit];
  const heights = isStacked ? stacked(lines) : lines.map((line) => line.values);
  const grid = { stroke: colourOf(canvas, "--line-soft"), width: 1, dash: [3, 3] };
  const axis = {
    stroke: colourOf(canvas, "--quiet"),
    font: `11px ${getComputedStyle(canvas).fontFamily}`,
    ticks: { show: false },
  };
  const isLone = (values) => (place) =>
    values[place] !== null && (values[place - 1] ?? null) === null && (values[place + 1] ?? null) === null;
  const series = heights.map((values, place) => ({
    stroke: colours[place],
    fill: hasBars ? colours[place] : isSplit ? undefined : paler(colours[place]),
    width: hasBars ? 0 : 1.8,
    spanGaps: true,
    paths: hasBars ? uPlot.paths.bars({ size: [0.72, 40], radius: isStacked ? 0 : [0.2, 0] }) : uPlot.paths.spline(),
    points: hasBars
      ? { show: false }
      : {
          show: true,
          size: 4,
          fill: colours[place],
          filter: (_, __, show) =>
            days.length <= 31 && !isSplit ? null : show ? values.map((_, at) => at).filter(isLone(values)) : null,
        },
  }));
  const tip = document.createElement("div");
  tip.className = "chart-tip";
  tip.hidden = true;
  const order = isStacked ? heights.map((_, place) => place).reverse() : heights.map((_, place) => place);
  const half = days.length > 1 ? (days[1] - days[0]) / 2 : DAY_MS / 2000;
  const plot = new uPlot(
    {
      width: canvas.clientWidth,
      height: canvas.clientHeight,
      legend: { show: false },
      padding: [10, 6, 4, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { show: !hasBars, size: 7 } },
      scales: {
        x: hasBars ? { range: (_, least, most) => [least - half, most + half] } : {},
        y: { range: scaleFrom(hasBars) },
      },
      axes: [
        { show: false },
        {
          ...axis,
          grid,
          size: 66,
          gap: 4,
          space: 30,
          ...steps[figure.dataset.unit],
          values: (_, splits, __, ___, step) => splits.map((split) => text(split, splits.at(-1), step)),
        },
      ],
      series: [{}, ...order.map((place) => series[place])],
      hooks: {
        setCursor: [(shown) => showTip(tip, shown, days, lines, colours, text, figure)],
        setSelect: [(shown) => zoom(figure, shown)],
      },
    },
    [days, ...order.map((index) => heights[index])],
    canvas,
  );
  plot.root.dataset.drawn = "";
  tip.dataset.drawn = "";
  canvas.append(tip);
  drawn.set(figure.id, { plot, days, lines, colours });
}

function showTip(tip, plot, days, lines, colours, text, figure) {
  const index = plot.cursor.idx;
  const items =
    index === null || index === undefined
      ? []
      : lines
          .map((line, number) => ({ ...line, value: line.values[index], colour: colours[number] }))
          .filter((line) => line.value !== null);
  tip.hidden = items.length === 0;
  if (tip.hidden) return;
  const day = document.createElement("strong");
  day.textContent = dayFormat.format(days[index] * 1000);
  tip.replaceChildren(day);
  if (lines.length === 1) {
    tip.append(text(items[0].value));
  } else {
    const list = document.createElement("ul");
    for (const line of items) list.append(tipLine(line.label, text(line.value), line.colour));
    if ("stackable" in figure.dataset) {
      list.append(
        tipLine(figure.closest("[data-charts]").dataset.total, text(items.reduce((sum, line) => sum + line.value, 0))),
      );
    }
    tip.append(list);
  }
  const left = plot.bbox.left / devicePixelRatio + plot.cursor.left;
  const beside = left + 14 + tip.offsetWidth > plot.width ? left - tip.offsetWidth - 14 : left + 14;
  tip.style.left = `${Math.max(0, beside)}px`;
}

function tipLine(label, value, colour) {
  const item = document.createElement("li");
  const swatch = document.createElement("span");
  if (colour) {
    swatch.className = "swatch";
    swatch.style.background = colour;
  }
  const name = document.createElement("span");
  name.textContent = label;
  const figure = document.createElement("span");
  figure.textContent = value;
  item.append(swatch, name, figure);
  return item;
}

/* The dragged range becomes the custom dates in the URL; a single day is ignored as accidental. */
function zoom(figure, plot) {
  const { left, width } = plot.select;
  if (width < 8) return;
  const { days } = drawn.get(figure.id);
  const span = days.length > 1 ? (days[1] - days[0]) * 1000 : DAY_MS;
  const first = plot.posToIdx(left);
  const last = plot.posToIdx(left + width);
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  if (first === last && span === DAY_MS) return;
  const address = new URL(figure.closest("[data-charts]").dataset.zoomAddress, location);
  const iso = (milliseconds) => new Date(milliseconds).toISOString().slice(0, 10);
  address.searchParams.set("from", iso(days[first] * 1000));
  address.searchParams.set("to", iso(Math.min(Date.now(), days[last] * 1000 + span - DAY_MS)));
  const path = address.pathname + address.search;
  history.pushState({}, "", path);
  htmx.ajax("GET", path, { target: "#board", swap: "morph:outerHTML", source: "#board" });
}

/* Draws chart, title, caption, days and legend to one image, in the colours of the page. */
function savePicture(figure) {
  const { plot, lines, colours } = drawn.get(figure.id);
  const canvas = plot.ctx.canvas;
  const scale = canvas.width / plot.width;
  const padding = 16;
  const legendRows = lines.length > 1 ? lines.length : 0;
  const width = plot.width + 2 * padding;
  const height = plot.height + 84 + legendRows * 16;
  const picture = document.createElement("canvas");
  picture.width = width * PICTURE_SCALE;
  picture.height = height * PICTURE_SCALE;
  const context = picture.getContext("2d");
  const styles = getComputedStyle(figure);
  context.scale(PICTURE_SCALE, PICTURE_SCALE);
  context.fillStyle = styles.backgroundColor;
  context.fillRect(0, 0, width, height);
  context.textBaseline = "middle";
  const write = (content, x, y, font, colour, align = "left") => {
    context.font = `${font} ${styles.fontFamily}`;
    context.fillStyle = colour;
    context.textAlign = align;
    context.fillText(content, x, y, width - 2 * padding);
  };
  const quiet = colourOf(figure.querySelector(".chart-canvas"), "--quiet");
  const caption = figure.closest("section").querySelector(".chart-caption span").textContent;
  write(figure.querySelector("figcaption").firstChild.textContent.trim(), padding, 20, "600 14px", styles.color);
  write(caption, padding, 38, "11px", quiet);
  context.drawImage(canvas, padding, 50, canvas.width / scale, canvas.height / scale);
  const under = 50 + plot.height + 8;
  const [first, last] = figure.querySelectorAll(".chart-days time");
  write(dayFormat.format(Date.parse(first.dateTime)), padding + 66, under, "11px", quiet);
  write(dayFormat.format(Date.parse(last.dateTime)), width - padding, under, "11px", quiet, "right");
  for (let row = 0; row < legendRows; row += 1) {
    const y = under + 20 + row * 16;
    context.fillStyle = colours[row];
    context.fillRect(padding + 66, y - 4, 8, 8);
    write(lines[row].label, padding + 80, y, "11px", styles.color);
  }
  picture.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `duplistatus-${figure.id}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

let drawnText = "";

function drawAll(always = false) {
  const charts = document.querySelector("[data-charts]");
  if (!charts) return;
  const figures = [...charts.querySelectorAll(".chart")];
  const tables = [...new Set(figures.map((figure) => figure.dataset.table))];
  const text =
    charts.dataset.style +
    charts.clientWidth +
    tables.map((table) => document.querySelector(table).textContent).join("");
  for (const button of charts.querySelectorAll("[data-picture]")) button.hidden = false;
  if (!always && text === drawnText) return;
  drawnText = text;
  drawn.clear();
  for (const figure of figures) draw(figure, charts.dataset.style);
  for (const button of charts.querySelectorAll("[data-picture]"))
    button.hidden = !drawn.has(button.closest(".chart").id);
}

drawAll();
let pending = 0;
addEventListener("resize", () => {
  clearTimeout(pending);
  pending = setTimeout(drawAll, 150);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-picture]");
  if (button) savePicture(button.closest(".chart"));
});
document.addEventListener("htmx:afterSwap", () => drawAll());
document.addEventListener("theme:changed", () => drawAll(true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(true));
addEventListener("popstate", () => location.reload());
addEventListener("beforeprint", () => drawAll());
document.fonts?.ready.then(() => drawAll(true));
