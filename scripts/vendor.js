/**
 * Copies the browser libraries that the pages use from node_modules to where they are committed.
 *
 * `make vendor` runs it after `npm ci`, which installs the versions of package.json and checks them against the hashes
 * in package-lock.json. Run it after a change of a version or of a list below. What was copied is written to
 * scripts/vendored.json; a test compares the committed files with it.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import postcss from "postcss";

// Package -> folder, and which of its files become which there.
const PACKAGES = {
  "@tabler/core": ["app/static/vendor/tabler", { "dist/css/tabler.min.css": "tabler.css" }],
  "@tabler/icons": ["app/static/vendor/tabler-icons", { LICENSE: "LICENSE" }],
  "htmx.org": ["app/static/vendor/htmx", { "dist/htmx.min.js": "htmx.js", LICENSE: "LICENSE" }],
  idiomorph: ["app/static/vendor/idiomorph", { "dist/idiomorph-ext.min.js": "idiomorph.js", LICENSE: "LICENSE" }],
  uplot: [
    "app/static/vendor/uplot",
    { "dist/uPlot.iife.min.js": "uplot.js", "dist/uPlot.min.css": "uplot.css", LICENSE: "LICENSE" },
  ],
  "@fontsource-variable/inter": [
    "app/static/vendor/inter",
    { "files/inter-latin-wght-normal.woff2": "inter-latin.woff2", LICENSE: "LICENSE" },
  ],
  "axe-core": [
    "tests/browser/vendor",
    { "axe.min.js": "axe.js", LICENSE: "LICENSE", "LICENSE-3RD-PARTY.txt": "LICENSE-3RD-PARTY.txt" },
  ],
};

// The package ships no licence file: this one was written from the licence and the holders that its stylesheet names.
const OWN_FILES = ["app/static/vendor/tabler/LICENSE"];

// First words of class names. A rule is left out when every one of its selectors has such a class.
const TABLER_COMPONENTS_LEFT_OUT =
  "avatar|calendar|carousel|chart|chat|chip|countup|divide|dropzone|flag|form-colorinput|form-imagecheck|form-selectgroup" +
  "|fullcalendar|hljs|img-responsive|input-group-flat|jvm|litepicker|loader|markdown|mention|nav-bordered|navbar" +
  "|navbar-expand|noUi|offcanvas|page-wrapper|payment|placeholder|plyr|popover|prose|ratio|ribbon|segmented|signal" +
  "|social|space-x|space-y|sparkline|star-rating|stars|steps?|tagify|theme-|timeline|tooltip|tracking|ts-|otp" +
  "|bs-popover|bs-tooltip|tom-select|typed|btn-(?:facebook|twitter|x|linkedin|google|youtube|vimeo|dribbble|github" +
  "|instagram|pinterest|vk|rss|flickr|bitbucket|tabler)|(?:bg|text|border|link|btn)-(?:facebook|twitter|x\\b|linkedin" +
  "|google|youtube|vimeo|dribbble|github|instagram|pinterest|vk|rss|flickr|bitbucket|tabler|gradient)";
const LEFT_OUT = new RegExp(`(?:\\.|\\^=|\\*=)["']?(?:${TABLER_COMPONENTS_LEFT_OUT})`);

// Icons of the sprite, by Tabler's names.
const ICONS = `
  activity adjustments alert-circle alert-octagon alert-triangle archive arrow-left arrow-right arrow-up-right
  arrows-sort badge bell bell-off bookmark bulb calendar calendar-event calendar-repeat calendar-stats
  chart-bar chart-line check chevron-down chevron-left chevron-right chevron-up circle-check circle-x
  clipboard-check clock clock-exclamation cloud-off cloud-upload code command copy database database-import
  device-desktop dots-vertical download external-link eye eye-off file-text files filter flag git-compare
  hand-click heartbeat help-circle history info-circle key keyboard language layout-grid
  layout-sidebar-left-collapse layout-sidebar-left-expand link list-details list-search lock lock-open login
  logout mail message-2 minus moon pencil player-pause player-play player-track-next plug-connected plus
  printer qrcode refresh report rotate-clockwise search send server settings share shield-lock stack-2 sun
  table tag tags template trash trending-up unlink upload user user-circle users volume-off wifi-off world x
`
  .trim()
  .split(/\s+/)
  .sort();

const vendored = { packages: {}, files: {} };

for (const [name, [folder, files]] of Object.entries(PACKAGES)) {
  vendored.packages[name] = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")).version;
  for (const [source, target] of Object.entries(files)) {
    write(`${folder}/${target}`, readFileSync(`node_modules/${name}/${source}`));
  }
}
const stylesheet = "app/static/vendor/tabler/tabler.css";
write(stylesheet, withoutUnusedComponents(readFileSync(stylesheet, "utf8")));
write("app/static/vendor/tabler-icons/icons.svg", sprite());
for (const path of OWN_FILES) record(path, readFileSync(path));
const sorted = Object.fromEntries(Object.entries(vendored.files).sort());
writeFileSync("scripts/vendored.json", `${JSON.stringify({ ...vendored, files: sorted }, null, 2)}\n`);

/** Write a file and record its hash; without references to source maps, which are not copied. */
function write(path, content) {
  const isText = /\.(css|js)$/.test(path);
  const written = isText
    ? content.toString().replace(/\n?(?:\/\*|\/\/)# sourceMappingURL=\S+(?: ?\*\/)?\s*$/, "\n")
    : content;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, written);
  record(path, written);
}

/** Note the SHA-256 of a file in scripts/vendored.json. */
function record(path, content) {
  vendored.files[path] = createHash("sha256").update(content).digest("hex");
}

/** Remove the selectors of components that the pages do not use, and what is empty then. */
function withoutUnusedComponents(css) {
  const root = postcss.parse(css);
  root.walkRules((rule) => {
    if (rule.parent.name?.endsWith("keyframes")) return;
    const kept = rule.selectors.filter((selector) => !LEFT_OUT.test(selector));
    if (kept.length === 0) rule.remove();
    else if (kept.length < rule.selectors.length) rule.selectors = kept;
  });
  root.walkAtRules(/^(media|supports|container|layer)$/, (block) => {
    if (block.nodes?.length === 0) block.remove();
  });
  return root.toString();
}

/** One SVG file with a symbol for each icon of ICONS. */
function sprite() {
  const symbols = ICONS.map((name) => {
    const source = readFileSync(`node_modules/@tabler/icons/icons/outline/${name}.svg`, "utf8");
    const shapes = source.match(/<(?:path|circle|rect|line|polyline)\b[^>]*\/>/g);
    const drawn = shapes.filter((shape) => !shape.includes('stroke="none"')).map((shape) => shape.replace(/\s+/g, " "));
    return `<symbol id="${name}" viewBox="0 0 24 24">${drawn.join("")}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n</svg>\n`;
}
