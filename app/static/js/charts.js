/* Draws the charts of a page from the table that stands below them; the table is what a screen reader reads. */

const BYTES = ["B", "KB", "MB", "GB", "TB", "PB"];
const language = document.documentElement.lang;
const dayFormat = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });
const numberFormat = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });

/* Figures of one axis share a unit, and have as many decimals as their distance needs. */
function bytesText(value, largest = value, step = 0) {
  const power = largest < 1024 ? 0 : Math.min(BYTES.length - 1, Math.floor(Math.log2(largest) / 10));
  const size = 1024 ** power;
  const decimals = step ? Math.max(0, Math.min(3, Math.ceil(-Math.log10(step / size)))) : power < 3 ? 0 : 1;
  return `${(value / size).toFixed(decimals)} ${BYTES[power]}`;
}

function secondsText(value, largest = value) {
  const pad = (number) => String(Math.floor(number)).padStart(2, "0");
  return largest < 3600 ? `${pad(value / 60)}:${pad(value % 60)} min` : `${pad(value / 3600)}:${pad((value % 3600) / 60)} h`;
}

const TEXTS = {
  bytes: bytesText,
  seconds: secondsText,
  count: (value) => numberFormat.format(value),
  ratio: (value) => `${numberFormat.format(value * 100)} %`,
};

function readTable(table) {
  const rows = [...table.tBodies[0].rows];
  const days = rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000);
  const columns = [...table.tHead.rows[0].cells].map((_, column) =>
    rows.map((row) => (row.cells[column].dataset.value === undefined ? null : Number(row.cells[column].dataset.value))));
  return { days, columns };
}

/* Round figures lie apart by powers of two where bytes are counted, and by parts of an hour for durations. */
const steps = {
  bytes: { incrs: Array.from({ length: 60 }, (_, power) => 2 ** power) },
  seconds: { incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 172800] },
  count: { incrs: Array.from({ length: 36 }, (_, place) => [1, 2, 5][place % 3] * 10 ** Math.floor(place / 3)) },
};

/* The axis reaches a tenth beyond what is shown, and not below nothing. */
function scale(plot, least, most) {
  if (least === null) return [0, 1];
  const margin = (most - least) * 0.1 || most * 0.1 || 1;
  return [Math.max(0, least - margin), most + margin];
}

function draw(figure, days, values) {
  const canvas = figure.querySelector(".chart-canvas");
  canvas.replaceChildren();
  if (!values.some((value) => value !== null)) {
    const note = document.createElement("p");
    note.className = "nothing";
    note.dataset.drawn = "";
    note.textContent = "No data in this range";
    canvas.append(note);
    return;
  }
  const styles = getComputedStyle(canvas);
  const resolve = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    canvas.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
  };
  const line = styles.color;
  const grid = { stroke: resolve("--line-soft"), width: 1, dash: [3, 3] };
  const text = TEXTS[figure.dataset.unit];
  const tip = document.createElement("div");
  tip.className = "chart-tip";
  const axis = { stroke: resolve("--quiet"), font: `11px ${styles.fontFamily}`, ticks: { show: false } };
  const isLone = (place) => values[place] !== null && (values[place - 1] ?? null) === null && (values[place + 1] ?? null) === null;
  const plot = new uPlot({
    width: canvas.clientWidth,
    height: canvas.clientHeight,
    legend: { show: false },
    padding: [10, 4, 4, 0],
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, fill: line } },
    scales: { y: { range: scale } },
    axes: [
      { show: false },
      { ...axis, grid, size: 66, gap: 4, space: 30, ...steps[figure.dataset.unit], values: (_, splits, __, ___, step) => splits.map((split) => text(split, splits.at(-1), step)) },
    ],
    series: [{}, {
      stroke: line, width: 1.8, spanGaps: true, paths: uPlot.paths.spline(),
      fill: line.startsWith("rgb(") ? line.replace("rgb(", "rgba(").replace(")", ", 0.1)") : undefined,
      points: { show: true, size: 4, fill: line, filter: (_, __, show) => (days.length <= 31 ? null : show ? values.map((_, place) => place).filter(isLone) : null) },
    }],
    hooks: {
      setCursor: [(shown) => {
        const place = shown.cursor.idx;
        const known = place !== null && place !== undefined && values[place] !== null;
        tip.textContent = known ? `${dayFormat.format(days[place] * 1000)}: ${text(values[place])}` : "";
      }],
    },
  }, [days, values], canvas);
  plot.root.dataset.drawn = "";
  tip.dataset.drawn = "";
  canvas.append(tip);
}

let drawnText = "";

function drawAll(always = false) {
  for (const charts of document.querySelectorAll("[data-charts]")) {
    const table = document.querySelector(charts.dataset.charts);
    const text = table.textContent + charts.clientWidth;
    if (!always && text === drawnText) continue;
    drawnText = text;
    const { days, columns } = readTable(table);
    for (const figure of charts.querySelectorAll(".chart")) draw(figure, days, columns[Number(figure.dataset.column)]);
  }
}

drawAll();
let pending = 0;
addEventListener("resize", () => { clearTimeout(pending); pending = setTimeout(drawAll, 150); });
document.addEventListener("htmx:afterSwap", () => drawAll());
document.addEventListener("theme:changed", () => drawAll(true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(true));
document.fonts?.ready.then(() => drawAll(true));
