// The prompt as the model gets it, and what changed since the one before.

function copyButton(text) {
  const press = button("Copy prompt", { class: "copy" }, async () => {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      done = false;
    }
    press.textContent = done ? "Copied" : "The browser refused";
    setTimeout(() => { press.textContent = "Copy prompt"; }, 1500);
  });
  press.setAttribute("aria-live", "polite");
  return press;
}

function stableMark(previous) {
  const said = previous.stable_tokens
    ? `${counted(previous.stable_tokens, "token")} above stood in the previous prompt: a prompt cache can use them again`
    : "nothing of the previous prompt can be used again";
  return element("span", { class: "stable-mark" }, said);
}

// The parts one after the other; the mark stands where the prompt first differs from the one before.
function promptParts(inspection) {
  const { parts, previous } = inspection;
  // Where no whole token is left of what is the same, nothing is.
  const stable = previous && previous.stable_tokens ? previous.stable_characters : 0;
  let begin = 0;
  return parts.map(({ name, tokens, text }) => {
    const cut = Math.min(Math.max(stable - begin, 0), text.length);
    const end = begin + text.length;
    const here = previous && stable >= begin && (stable < end || end === inspection.length);
    begin = end;
    const label = PARTS[name] || name;
    const body = element("pre", { dir: "auto" },
      cut ? element("span", { class: "stable" }, readable(text.slice(0, cut))) : null,
      here ? stableMark(previous) : null, readable(text.slice(cut)));
    return element("section", { class: `prompt-part edge-${name}`, "aria-label": `${label}, ${tokens} tokens` },
      element("p", { class: "part-name" }, swatch(`part-${name}`), label, element("small", {}, counted(tokens, "token"))),
      body);
  });
}

const SIGN_OF = { same: " ", added: "+", removed: MINUS };

function changedLine(kind, line) {
  const mark = element("span", { class: "sign-of", "aria-hidden": "true" }, SIGN_OF[kind]);
  return element("p", { dir: "auto" }, mark, readable(line));
}

function changes(previous) {
  return previous.changes.map(({ kind, text }) => {
    const lines = text.replace(/\n$/, "").split("\n");
    // What stays is shown by its ends.
    const hidden = kind === "same" && lines.length > 6 ? lines.length - 4 : 0;
    const shown = hidden ? [...lines.slice(0, 2), null, ...lines.slice(-2)] : lines;
    return element(kind === "same" ? "div" : kind === "added" ? "ins" : "del", { class: `change ${kind}` },
      shown.map((line) => (line === null
        ? element("p", { class: "unchanged" }, counted(hidden, "unchanged line")) : changedLine(kind, line))));
  });
}

function promptSection(inspection) {
  const { parts, previous } = inspection;
  const text = parts.map((part) => part.text).join("");
  const box = { class: "prompt", tabindex: "0", role: "region" };
  const parted = promptParts({ ...inspection, length: text.length });
  const whole = element("div", { ...box, "aria-label": "The prompt" }, parted);
  const tools = element("div", { class: "controls" }, copyButton(text));
  if (!previous) {
    return section("prompt", "Prompt", "What the model is given, word for word. With a question before it, what a prompt"
      + " cache can use again is marked.", tools, whole);
  }
  const differences = element("div", { ...box, "aria-label": "Changes", hidden: true }, changes(previous));
  const views = [["Prompt", whole], ["Changes", differences]];
  const toggles = views.map(([title, view], index) => button(title, { "aria-pressed": String(index === 0) }, () => {
    views.forEach(([, other], place) => {
      other.hidden = other !== view;
      toggles[place].setAttribute("aria-pressed", String(other === view));
    });
  }));
  tools.prepend(element("div", { class: "toggles", role: "group", "aria-label": "View" }, toggles));
  const stable = previous.stable_tokens;
  const lead = ["What the model is given, word for word. Compared with \u201c", ...readable(previous.question),
    `\u201d: ${counted(stable, "token")} at the beginning unchanged (${share(stable, inspection.tokens)}).`];
  return section("prompt", "Prompt", lead, tools, whole, differences);
}
