/* What our modules ask of a browser while they load, as far as a page without content has it. */

export function openEmptyPage({ language = "en-GB", words = {} } = {}) {
  globalThis.document = {
    documentElement: {
      lang: language,
      dataset: { words: JSON.stringify(words), format: language, zone: "UTC" },
      classList: { add() {} },
    },
    addEventListener() {},
    getElementById: () => null,
    querySelector: () => null,
    querySelectorAll: () => [],
  };
  globalThis.addEventListener = () => {};
  globalThis.matchMedia = () => ({ addEventListener() {} });
  globalThis.sessionStorage = { getItem: () => null, removeItem() {} };
  globalThis.location = { pathname: "/", search: "" };
  // Timers of the page would keep the process alive.
  globalThis.setInterval = () => 0;
}
