"use strict";
// How figures, moments and stored texts are written.

const MINUS = "\u2212";
const NARROW = "\u202f";
const PARTS = { summary: "Summary", memory: "Memories", recent: "Recent turns", question: "Question" };
const STAGES = {
  fused: "similarity and words, fused",
  neighbor: "what stands next to it",
  asking: "only asks",
  speaker: "speaker named in the question",
  date: "period named in the question",
  recency: "how recent it is",
  importance: "importance in its metadata",
};
// What cannot be seen and could make a text look like another: controls, marks of direction, tags.
const UNSEEN = new RegExp("[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b\\u200e\\u200f"
  + "\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\u{e0000}-\\u{e007f}]", "gu");

const count = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, NARROW);

const counted = (value, noun, plural = `${noun}s`) => `${count(value)} ${value === 1 ? noun : plural}`;

const score = (value) => (value < 0 ? MINUS : "") + Math.abs(value).toFixed(3);

const signed = (value) => (value > 0 ? "+" : "") + score(value);

function share(part, whole) {
  const percent = (100 * part) / whole;
  return percent > 0 && percent < 1 ? "< 1 %" : `${Math.round(percent)} %`;
}

function duration(seconds) {
  return seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(1)} s`;
}

// A moment in seconds since the epoch; nothing for what no calendar has.
function moment(seconds, digits) {
  const date = new Date(seconds === null ? NaN : seconds * 1000);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString().slice(0, digits).replace("T", " ");
}

const day = (seconds) => moment(seconds, 10);

const minute = (seconds) => moment(seconds, 16);

// A text as nodes: what cannot be seen in it is named, all else is the text itself.
function readable(text) {
  const nodes = [];
  let done = 0;
  for (const found of text.matchAll(UNSEEN)) {
    const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    const mark = element("span", { class: "unseen", title: "a character that cannot be seen" }, `U+${code}`);
    nodes.push(text.slice(done, found.index), mark);
    done = found.index + found[0].length;
  }
  return [...nodes, text.slice(done)];
}
