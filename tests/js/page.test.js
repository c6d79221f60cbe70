import assert from "node:assert/strict";
import test from "node:test";
import { openEmptyPage } from "./browser.js";

const WORDS = {
  justNow: "just now",
  now: "new",
  future: "in the future",
  ago: "{time} ago",
  ahead: "in {time}",
  and: "{time} and {rest}",
  minute: "min",
  hour: "h",
  day: "d",
  week: "w",
  month: "mo",
  year: "y",
};
const [MINUTE, HOUR, DAY] = [60, 3600, 86400];

openEmptyPage({ words: WORDS });
const { ageText, lengthText, relativeText } = await import("../../app/static/js/page.js");

test("a time span is written in its largest unit, rounded down", () => {
  assert.equal(lengthText(1), "1 second");
  assert.equal(lengthText(119), "1 minute");
  assert.equal(lengthText(2 * HOUR), "2 hours");
  assert.equal(lengthText(13 * DAY), "1 week");
});

test("a time span of years has its months beside it", () => {
  assert.equal(lengthText(365 * DAY), "1 year");
  assert.equal(lengthText((365 + 61) * DAY), "1 year and 2 months");
});

test("an instant is written relative to now, in both directions", () => {
  assert.equal(relativeText(14), "just now");
  assert.equal(relativeText(-14), "just now");
  assert.equal(relativeText(5 * MINUTE), "5 minutes ago");
  assert.equal(relativeText(-5 * MINUTE), "in 5 minutes");
  assert.equal(relativeText((2 * 365 + 31) * DAY), "2 years and 1 month ago");
  assert.equal(relativeText(-400 * DAY), "in 1 year and 1 month");
});

test("an age is short", () => {
  assert.equal(ageText(-1), "in the future");
  assert.equal(ageText(59), "new");
  assert.equal(ageText(3 * HOUR + 59 * MINUTE), "3 h");
  assert.equal(ageText(400 * DAY), "1 y 1 mo");
});
