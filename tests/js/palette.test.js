import assert from "node:assert/strict";
import test from "node:test";
import { openEmptyPage } from "./browser.js";

openEmptyPage();
const { find } = await import("../../app/static/js/palette.js");

const entry = (label, hint = "", group = "") => ({ label, hint, group });
const labels = (entries, query) => find(entries, query).map(({ label }) => label);

test("every word of the query has to be in the entry", () => {
  const entries = [entry("Photos", "nas", "Jobs"), entry("Photos", "attic", "Jobs"), entry("Mail", "nas", "Jobs")];
  assert.deepEqual(find(entries, "nas photos"), [entries[0]]);
  assert.deepEqual(find(entries, "photos office"), []);
});

test("labels that begin with the query come first, then those that hold it, then hints", () => {
  const entries = [entry("Notes", "about mail"), entry("Old mail"), entry("Mail")];
  assert.deepEqual(labels(entries, "mail"), ["Mail", "Old mail", "Notes"]);
});

test("entries of the same rank keep their order", () => {
  assert.deepEqual(labels([entry("b"), entry("a"), entry("c")], ""), ["b", "a", "c"]);
});

test("capitals and accents make no difference", () => {
  assert.deepEqual(labels([entry("Überfällig"), entry("Été")], "UBERFALLIG"), ["Überfällig"]);
  assert.deepEqual(labels([entry("Überfällig"), entry("Été")], "  ete "), ["Été"]);
});

test("at most 40 entries are shown", () => {
  const entries = Array.from({ length: 50 }, (_, number) => entry(`Job ${number}`));
  assert.equal(find(entries, "job").length, 40);
});
