// Sessions over time, and where in them what was found lies.

const LEAST_TICKS = [60, 300, 900, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 1209600];
const MOST_TICKS = 6;
const MONTHS_APART = [1, 2, 3, 6, 12, 24, 60, 120, 600, 1200, 12000];
const BUCKETS = 100;
const STATES = ["dropped", "kept", "recent"]; // what is drawn later lies above
const LISTED = ["kept", "recent", "dropped"];

function ticks(start, end) {
  const step = LEAST_TICKS.find((each) => (end - start) / each <= MOST_TICKS);
  if (step) {
    const first = Math.ceil(start / step) * step;
    return Array.from({ length: Math.floor((end - first) / step) + 1 }, (_, index) => first + index * step);
  }
  const months = (seconds) => {
    const date = new Date(seconds * 1000);
    return date.getUTCFullYear() * 12 + date.getUTCMonth();
  };
  const apart = MONTHS_APART.find((each) => (months(end) - months(start)) / each <= MOST_TICKS) || MONTHS_APART.at(-1);
  const found = [];
  for (let month = Math.ceil((months(start) + 1) / apart) * apart; month <= months(end); month += apart) {
    found.push(new Date(0).setUTCFullYear(Math.floor(month / 12), month % 12, 1) / 1000);
  }
  return found;
}

// What became of each turn: it may be a candidate twice, and counts by the better of both.
function states(candidates) {
  const found = new Map();
  for (const row of candidates) {
    if (row.timestamp === null || row.kind === "document" || row.part === "summary") continue;
    const state = !row.kept ? "dropped" : row.part === "recent" ? "recent" : "kept";
    const known = found.get(row.id);
    if (!known || STATES.indexOf(state) > STATES.indexOf(known.state)) found.set(row.id, { ...row, state });
  }
  return [...found.values()];
}

// Where a moment lies between two others, in per cent; the middle of what takes no time.
function between(start, end) {
  return (seconds) => (end > start ? (100 * (seconds - start)) / (end - start) : 50);
}

function histogram(timeline, hits) {
  const { start, counts, step } = timeline;
  const end = start + step * counts.length;
  const at = between(start, end);
  const most = Math.max(...counts, 1);
  const said = `${count(counts.reduce((a, b) => a + b, 0))} turns and memories from ${day(start)} to ${day(end)},`
    + ` at most ${count(most)} in one of ${counts.length} steps`;
  const wide = 100 / counts.length;
  const bars = counts.map((many, index) => {
    if (many === 0) return null;
    const high = Math.max(2, (34 * many) / most);
    const box = { x: `${(index + 0.1) * wide}%`, y: 38 - high, width: `${wide * 0.8}%`, height: high };
    return drawn("rect", { class: "turns", ...box },
      drawn("title", {}, `${minute(start + index * step)}: ${count(many)}`));
  });
  const labels = ticks(start, end).map((tick) => {
    const x = at(tick);
    const anchor = x < 4 ? "start" : x > 96 ? "end" : "middle";
    const text = end - start > 3 * 86400 ? day(tick) : minute(tick).slice(5);
    return [drawn("line", { class: "tick", x1: `${x}%`, x2: `${x}%`, y1: 62, y2: 67 }),
      drawn("text", { x: `${x}%`, y: 79, "text-anchor": anchor }, text)];
  });
  return drawn("svg", { class: "histogram", role: "img", "aria-label": said },
    ground(38.5), bars, marks(hits, at, 50), ground(62), labels);
}

const ground = (y) => drawn("line", { class: "ground", x1: 0, x2: "100%", y1: y, y2: y });

function shape(state, many) {
  const size = Math.min(9, 3.5 + Math.sqrt(many));
  if (state !== "recent") return drawn("circle", { class: state, r: state === "kept" ? size : size * 0.7 });
  const far = size + 1;
  return drawn("path", { class: state, d: `M0 ${-far}L${far} 0L0 ${far}L${-far} 0Z` });
}

// Those that would lie on one another are one mark, the larger the more they are.
function marks(hits, at, y) {
  const found = new Map();
  for (const { state, timestamp } of hits) {
    const key = `${state} ${Math.round((at(timestamp) / 100) * BUCKETS)}`;
    found.set(key, (found.get(key) || 0) + 1);
  }
  return [...found].map(([key, many]) => [...key.split(" "), many])
    .sort((a, b) => STATES.indexOf(a[0]) - STATES.indexOf(b[0]))
    .map(([state, bucket, many]) => drawn("svg", { x: `${(100 * bucket) / BUCKETS}%`, y, overflow: "visible" },
      shape(state, many), drawn("title", {}, `${count(many)} ${state}`)));
}

function lane(hits, each) {
  const said = STATES.map((state) => `${hits.filter((hit) => hit.state === state).length} ${state}`).join(", ");
  const when = `${minute(each.first)} to ${minute(each.last)}`;
  return drawn("svg", { class: "lane", role: "img", "aria-label": `${when}: ${said}` },
    drawn("line", { class: "span", x1: 0, x2: "100%", y1: 13, y2: 13 }),
    marks(hits, between(each.first, each.last), 13));
}

function laneRow(hits, each, choose) {
  const own = hits.filter((hit) => hit.session === each.session);
  const name = button(each.session === null ? "no session" : readable(each.session),
    { class: "session", title: "Show its candidates" }, () => choose(each.session));
  const figure = (title, many) => element("td", { "data-title": title, class: many ? "" : "none" }, count(many));
  return element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "when" }, day(each.first)),
    element("td", { class: "drawing" }, lane(own, each)), figure("turns", each.records),
    LISTED.map((state) => figure(state, own.filter((hit) => hit.state === state).length)));
}

const stateSign = (state) =>
  drawn("svg", { class: "swatch", viewBox: "-8 -8 16 16", "aria-hidden": "true", focusable: "false" }, shape(state, 4));

function timelineSection(inspection, choose) {
  const { timeline, candidates } = inspection;
  const title = "Sessions";
  if (timeline === null) return section("sessions", title, "No turn or memory has a moment.");
  const hits = states(candidates);
  const head = (name, ...content) => element("th", { scope: "col", class: name }, content);
  const table = element("table", { class: "sessions" },
    element("thead", {}, element("tr", {}, head("", "Session"), head("when", "Began"),
      element("td", { class: "drawing" }, histogram(timeline, hits)), head("", "turns"),
      LISTED.map((state) => head("", stateSign(state), state)))),
    element("tbody", {}, timeline.lanes.map((each) => laneRow(hits, each, choose))));
  const documents = candidates.filter((row) => row.kind === "document");
  const kept = documents.filter((row) => row.kept).length;
  const notes = [
    timeline.more_lanes ? `${counted(timeline.more_lanes, "more session")} among the candidates.` : null,
    documents.length
      ? `Not on the time line: ${counted(documents.length, "piece")} of documents, ${count(kept)} kept.` : null,
  ].filter(Boolean).join(" ");
  return section("sessions", title, "At the top, all turns over time and what was found of them. Below, each session"
    + " from its first turn to its last.", table, notes ? element("p", { class: "note" }, notes) : null);
}
