// What was asked, of which store, and how the budget was spent.

function facts(inspection) {
  const used = inspection.components;
  const where = used.index_type === used.vector_store ? used.vector_store : `${used.vector_store} (${used.index_type})`;
  const rows = [
    ["Built in", duration(inspection.seconds)],
    ["At", `${minute(inspection.made_at)} UTC`],
    ["Store", `${where}, ${counted(used.records, "record")}`],
    ["Embedder", used.embedder],
    ["Tokenizer", used.tokenizer],
    ["Session", inspection.session === null ? "all" : readable(inspection.session)],
    ["Folder", used.path === null ? "in memory" : readable(used.path)],
  ];
  return element("dl", { class: "facts" },
    rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}

function overview(inspection) {
  return element("div", { class: "asked" },
    element("h1", { dir: "auto" }, readable(inspection.question)),
    facts(inspection),
    inspection.components.fallbacks.map((line) => element("p", { class: "note" }, `Note: ${line}.`)));
}

function budgetBar(shares, budget) {
  const said = shares.map(({ label, tokens }) => `${label} ${tokens}`).join(", ");
  const bar = drawn("svg", { class: "budget-bar", role: "img", "aria-label": `Of ${budget} tokens: ${said}` });
  const total = shares.reduce((sum, { tokens }) => sum + tokens, 0);
  let at = 0;
  for (const { kind, label, tokens } of shares) {
    const wide = (100 * tokens) / total;
    bar.append(drawn("rect", { class: kind, x: `${at}%`, width: `${wide}%`, height: "100%" },
      drawn("title", {}, `${label}: ${count(tokens)} tokens`)));
    // A thin gap tells neighbours apart, whatever one sees of colours.
    if (at > 0) bar.append(drawn("rect", { class: "gap", x: `${at}%`, width: 2, height: "100%" }));
    at += wide;
  }
  return bar;
}

function budgetSection(inspection) {
  const { budget, tokens } = inspection;
  const shares = inspection.parts.map((part) => ({
    kind: `part-${part.name}`,
    label: PARTS[part.name] || part.name,
    tokens: part.tokens,
  }));
  shares.push({ kind: "part-free", label: "Free", tokens: Math.max(0, budget - tokens) });
  const legend = element("dl", { class: "legend" }, shares.map((each) => element("div", {},
    element("dt", {}, swatch(each.kind), each.label),
    element("dd", {}, element("b", {}, count(each.tokens)), ` ${share(each.tokens, budget)}`))));
  const head = element("p", { class: "figure" }, element("b", {}, count(tokens)), ` of ${count(budget)} tokens used`);
  return section("budget", "Token budget", null, head, budgetBar(shares, budget), legend);
}
