// Everything that was considered: a table to sort, filter and open.

const AT_FIRST = 25;
const LONGEST = 20000; // characters of a text that the data hold
const TWIN = "the same text as ";

const COLUMNS = [
  { key: "rank", title: "#", value: (row) => row.rank, up: true },
  { key: "kept", title: "State", value: (row) => (row.kept ? 1 : 0) },
  { key: "text", title: "Text and why", value: (row) => row.text.toLowerCase(), up: true },
  { key: "score", title: "Score", value: (row) => (row.rank === null ? null : row.final) },
  { key: "tokens", title: "Tokens", value: (row) => row.tokens },
  { key: "session", title: "Session or source", value: (row) => place(row), up: true },
  { key: "speaker", title: "Speaker", value: (row) => row.speaker, up: true },
  { key: "date", title: "Date", value: (row) => row.timestamp },
];

const place = (row) => (row.session === null ? row.source : row.session);

const why = (row) => (row.reason.startsWith(TWIN) ? `${TWIN}another` : row.reason);

const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

class Candidates {
  constructor(inspection) {
    this.rows = inspection.candidates.map((row, index) => ({ ...row, index }));
    this.kinds = stageKinds(inspection.stages);
    this.range = reach(this.rows);
    this.columns = COLUMNS.filter(({ value }) => this.rows.some((row) => value(row) !== null));
    this.sorted = null;
    this.state = "all";
    this.reason = "";
    this.session = undefined;
    this.limit = AT_FIRST;
    this.lines = new Map();
    this.opened = [];
    this.body = element("tbody", { role: "rowgroup" });
    this.status = element("p", { role: "status", class: "status" });
    this.more = button("", { class: "more" }, () => this.showAll());
    this.element = section("candidates", "Candidates",
      "Everything that was considered for the prompt, what each stage added to its score, and why it is in or out.",
      this.controls(), stageLegend(inspection.stages, this.kinds), this.table(), this.more);
    this.refresh();
  }

  // --- controls -------------------------------------------------------------------------------------------------

  controls() {
    const kept = this.rows.filter((row) => row.kept).length;
    const all = this.rows.length;
    const states = [["all", "All", all], ["kept", "Kept", kept], ["dropped", "Dropped", all - kept]];
    this.toggles = states.map(([state, title, many]) => button([title, " ", element("small", {}, count(many))],
      { "data-state": state, "aria-pressed": String(state === this.state) }, () => this.choose(state)));
    const asked = "Find in texts";
    this.search = element("input", { type: "search", id: "search", placeholder: asked, "aria-label": asked });
    this.search.addEventListener("input", () => this.refresh());
    const reasons = new Map();
    for (const row of this.rows) reasons.set(why(row), (reasons.get(why(row)) || 0) + 1);
    const named = [...reasons].sort((a, b) => b[1] - a[1]).map(([reason, many]) =>
      element("option", { value: reason }, `${reason} (${many})`));
    const reason = element("select", { id: "reason", "aria-label": "Reason" },
      element("option", { value: "" }, "Any reason"), named);
    reason.addEventListener("change", () => { this.reason = reason.value; this.refresh(); });
    const order = element("select", { id: "order", "aria-label": "Sort by" },
      element("option", { value: "" }, "Kept first"),
      this.columns.map(({ key, title }) => element("option", { value: key }, title)));
    order.addEventListener("change", () => {
      const column = this.columns.find(({ key }) => key === order.value);
      this.sorted = column ? { key: column.key, up: Boolean(column.up) } : null;
      this.refresh();
    });
    this.only = button("", { class: "only" }, () => this.chooseSession(undefined));
    return element("div", { class: "controls", role: "group", "aria-label": "Filter the candidates" },
      element("div", { class: "toggles", role: "group", "aria-label": "State" }, this.toggles),
      this.search, reason, order, this.only, this.status);
  }

  choose(state) {
    this.state = state;
    for (const toggle of this.toggles) toggle.setAttribute("aria-pressed", String(toggle.dataset.state === state));
    this.refresh();
  }

  chooseSession(session) {
    this.session = session;
    this.refresh();
  }

  showAll() {
    const first = this.limit;
    this.limit = this.rows.length;
    this.refresh();
    const next = this.body.querySelectorAll(".candidate button")[first];
    if (next) next.focus();
  }

  // --- the table ------------------------------------------------------------------------------------------------

  table() {
    this.heads = this.columns.map((column) => {
      const arrow = element("span", { class: "arrow", "aria-hidden": "true" });
      const press = button([column.title, arrow], {}, () => this.sort(column));
      const told = { scope: "col", role: "columnheader", class: `c-${column.key}`, "data-key": column.key };
      return element("th", told, press);
    });
    return element("table", { class: "candidates", role: "table", "aria-label": "Candidates" },
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, this.heads)), this.body);
  }

  sort(column) {
    const now = this.sorted;
    const first = Boolean(column.up);
    if (!now || now.key !== column.key) this.sorted = { key: column.key, up: first };
    else this.sorted = now.up === first ? { key: column.key, up: !first } : null;
    this.refresh();
  }

  ordered(rows) {
    // At first what stands in the prompt, the ranked before the recent, then the best of the rest.
    const ranked = (row) => row.rank !== null;
    if (!this.sorted) return [...rows].sort((a, b) => b.kept - a.kept || ranked(b) - ranked(a) || a.index - b.index);
    const { value } = this.columns.find(({ key }) => key === this.sorted.key);
    const way = this.sorted.up ? 1 : -1;
    return [...rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === y) return a.index - b.index;
      if (x === null || y === null) return x === null ? 1 : -1;
      return (x < y ? -1 : 1) * way;
    });
  }

  fits(row) {
    const text = `${row.text} ${row.id} ${row.reason} ${place(row) || ""} ${row.speaker || ""}`.toLowerCase();
    return (this.state === "all" || row.kept === (this.state === "kept"))
      && (!this.reason || why(row) === this.reason)
      && (this.session === undefined || (row.session === this.session && row.kind !== "document"))
      && words(this.search.value).every((word) => text.includes(word));
  }

  refresh() {
    const fitting = this.ordered(this.rows.filter((row) => this.fits(row)));
    const shown = fitting.slice(0, this.limit);
    this.body.replaceChildren(...shown.flatMap((row) => this.line(row)));
    const rest = fitting.length - shown.length;
    this.more.hidden = rest === 0;
    this.more.textContent = `Show ${counted(rest, "more candidate")}`;
    this.only.hidden = this.session === undefined;
    if (this.session !== undefined) {
      this.only.replaceChildren("Session ", ...readable(this.session || "without a name"), " \u00d7");
    }
    this.status.textContent = fitting.length === this.rows.length
      ? counted(fitting.length, "candidate") : `${count(fitting.length)} of ${counted(this.rows.length, "candidate")}`;
    for (const head of this.heads) {
      const own = this.sorted && this.sorted.key === head.dataset.key;
      head.setAttribute("aria-sort", own ? (this.sorted.up ? "ascending" : "descending") : "none");
    }
  }

  // One row, made when it is first shown; its details stand in a second one.
  line(row) {
    if (!this.lines.has(row.index)) this.lines.set(row.index, [this.summary(row)]);
    return this.lines.get(row.index);
  }

  summary(row) {
    const cells = {
      rank: () => (row.rank === null ? "" : count(row.rank)),
      kept: () => [sign(row.kept ? "kept" : "dropped"), row.kept ? "kept" : "dropped"],
      text: () => this.opener(row),
      score: () => (row.rank === null ? ""
        : [element("span", {}, score(row.final)), scoreBar(row, this.kinds, this.range)]),
      tokens: () => count(row.tokens),
      session: () => readable(place(row) || ""),
      speaker: () => readable(row.speaker || ""),
      date: () => day(row.timestamp),
    };
    return element("tr", { role: "row", class: `candidate ${row.kept ? "is-kept" : "is-dropped"}` },
      this.columns.map(({ key }) => element("td", { role: "cell", class: `c-${key}` }, cells[key]())));
  }

  opener(row) {
    const glance = row.text.replace(/\s+/g, " ").slice(0, 240);
    const press = button([sign("open"), element("span", { class: "glance", dir: "auto" }, readable(glance))],
      { "aria-expanded": "false", class: "opener" }, () => this.toggle(row, press));
    const kind = row.part === "memory" ? row.kind : PARTS[row.part].toLowerCase();
    const reason = [swatch(`part-${row.part}`), `${kind} \u00b7 `, readable(row.reason)];
    return [press, element("span", { class: "why" }, reason)];
  }

  toggle(row, press) {
    const line = this.lines.get(row.index);
    const opened = line.length === 1;
    if (opened) line.push(this.details(row));
    else line.pop().remove();
    press.setAttribute("aria-expanded", String(opened));
    this.opened = this.opened.filter((other) => other !== press);
    if (opened) {
      this.opened.push(press);
      line[0].after(line[1]);
    } else {
      press.focus();
    }
  }

  details(row) {
    const cut = row.characters > LONGEST
      ? element("p", { class: "note" }, `The first ${count(LONGEST)} of ${count(row.characters)} characters.`) : null;
    const rows = [["Id", row.id], ["Tokens", count(row.tokens)], ["Reason", row.reason],
      ["Session", row.session || "none"], ["Speaker", row.speaker || "not named"],
      ["Date", minute(row.timestamp) || "none"], ["Source", row.source]];
    const about = element("dl", { class: "about-row" }, rows.filter(([, value]) => value !== null).map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, readable(value)))));
    const scrolling = { class: "full", dir: "auto", tabindex: "0", role: "region", "aria-label": "Full text" };
    const text = element("pre", scrolling, readable(row.text));
    const cell = element("td", { role: "cell", colspan: this.columns.length },
      element("div", { class: "opened" }, element("div", {}, text, cut),
        element("div", {}, row.rank === null ? null : scoreFigures(row, this.kinds), about)));
    return element("tr", { role: "row", class: "details" }, cell);
  }

  // Close the details in which something has the focus, or those opened last; the focus goes to what opened them.
  close(focused) {
    const row = focused.closest("tr");
    const own = this.opened.find((press) => [press.closest("tr"), press.closest("tr").nextElementSibling].includes(row));
    const press = own || this.opened.at(-1);
    if (press) press.click();
  }
}
