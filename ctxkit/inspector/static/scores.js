// A score as what each stage added (to the right of the line) or took (to the left of it).

const STAGE_COLOURS = 8;

function stageKinds(stages) {
  const known = Object.keys(STAGES);
  return new Map(stages.map((name, place) => {
    const own = known.indexOf(name);
    return [name, `stage-${own >= 0 ? own : known.length + (place % (STAGE_COLOURS - known.length))}`];
  }));
}

// How far the longest bars of all candidates reach to both sides.
function reach(candidates) {
  const range = { below: 0, above: 0 };
  for (const { stages } of candidates) {
    let below = 0;
    let above = 0;
    for (const value of Object.values(stages)) {
      if (value < 0) below -= value;
      else above += value;
    }
    range.below = Math.max(range.below, below);
    range.above = Math.max(range.above, above);
  }
  return range;
}

function scoreBar(candidate, kinds, range) {
  const whole = range.below + range.above || 1;
  const zero = (100 * range.below) / whole;
  const said = Object.entries(candidate.stages).filter(([, value]) => value !== 0)
    .map(([name, value]) => `${name} ${signed(value)}`).join(", ");
  const bar = drawn("svg", { class: "score-bar", role: "img", "aria-label": said || "no stage added anything" });
  let left = zero;
  let right = zero;
  for (const [name, value] of Object.entries(candidate.stages)) {
    if (value === 0) continue;
    const wide = (100 * Math.abs(value)) / whole;
    const x = value < 0 ? left - wide : right;
    if (value < 0) left = x;
    else right += wide;
    bar.append(drawn("rect", { class: kinds.get(name), x: `${x}%`, y: 3, width: `${wide}%`, height: 8 },
      drawn("title", {}, `${name} ${signed(value)}`)));
  }
  bar.append(drawn("line", { class: "zero", x1: `${zero}%`, x2: `${zero}%`, y1: 0, y2: 14 }));
  return bar;
}

function scoreFigures(candidate, kinds) {
  const found = (value) => (value === null ? "not found" : score(value));
  const row = (mark, name, about, value, added) => element("tr", { class: added === 0 ? "none" : null },
    element("th", { scope: "row" }, mark, name), element("td", { class: "about" }, about), element("td", {}, value));
  return element("table", { class: "figures" },
    element("caption", {}, "How the score came about"),
    element("tbody", {},
      row(null, "dense", "similarity of the vectors", found(candidate.dense)),
      row(null, "lexical", "BM25 of the words", found(candidate.lexical)),
      Object.entries(candidate.stages).map(([name, value]) =>
        row(swatch(kinds.get(name)), name, STAGES[name] || "a stage of your own", signed(value), value)),
      row(null, "final", "the sum of the stages", score(candidate.final))));
}

const stageLegend = (stages, kinds) => element("ul", { class: "stages", "aria-label": "Colours of the stages" },
  stages.map((name) => element("li", { title: STAGES[name] || "a stage of your own" }, swatch(kinds.get(name)), name)));
