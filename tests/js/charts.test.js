import assert from "node:assert/strict";
import test from "node:test";
import { openEmptyPage } from "./browser.js";

openEmptyPage();
const { bytesText, scaleFrom, secondsText, stacked } = await import("../../app/static/js/charts.js");

test("bytes are written in the unit of the largest value of the axis", () => {
  assert.equal(bytesText(0), "0 B");
  assert.equal(bytesText(1023), "1,023 B");
  assert.equal(bytesText(1536), "2 KB");
  assert.equal(bytesText(1.5 * 1024 ** 3), "1.5 GB");
  assert.equal(bytesText(512 * 1024, 2 * 1024 ** 3, 512 * 1024), "0.000 GB");
  assert.equal(bytesText(1024 ** 6), "1,024.0 PB");
});

test("ticks of an axis have as many decimals as their distance needs", () => {
  const [largest, step] = [2 * 1024 ** 3, 256 * 1024 ** 2];
  assert.equal(bytesText(step, largest, step), "0.3 GB");
  assert.equal(bytesText(largest, largest, 1024 ** 3), "2 GB");
});

test("durations are minutes and seconds below an hour, hours and minutes above", () => {
  assert.equal(secondsText(0), "00:00 min");
  assert.equal(secondsText(3599), "59:59 min");
  assert.equal(secondsText(3600), "01:00 h");
  assert.equal(secondsText(90, 7200), "00:01 h");
});

test("stacked lines add up, and a missing value adds nothing", () => {
  const lines = [{ values: [1, null, 3] }, { values: [10, 20, null] }];
  assert.deepEqual(stacked(lines), [
    [1, 0, 3],
    [11, 20, 3],
  ]);
});

test("the axis of lines leaves a margin but does not go below zero; that of bars begins at zero", () => {
  assert.deepEqual(scaleFrom(false)(null, 100, 200), [90, 210]);
  assert.deepEqual(scaleFrom(false)(null, 1, 101), [0, 111]);
  assert.deepEqual(scaleFrom(true)(null, 100, 200), [0, 210]);
  assert.deepEqual(scaleFrom(false)(null, 0, 0), [0, 1]);
  assert.deepEqual(scaleFrom(false)(null, null, null), [0, 1]);
});
