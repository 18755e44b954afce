"use strict";
// The page can be read without this: it adds the filter, the keys, the copy buttons, and opens what a link leads to.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const form = document.getElementById("filter");
  const search = document.getElementById("search");
  const whom = document.getElementById("whom");
  const count = document.getElementById("count");
  const toggles = all("button[data-outcome]", form);
  const subjects = all(".subject");
  const checks = all(".check");
  let cameFrom = null;

  root.classList.add("script");
  form.hidden = false;

  // --- filter -------------------------------------------------------------------------------------------------

  const texts = new Map();
  const textOf = (check) => {
    if (!texts.has(check)) texts.set(check, check.textContent.toLowerCase());
    return texts.get(check);
  };
  const openedByFilter = new Set();

  function chosen() {
    return new Set(toggles.filter((button) => button.getAttribute("aria-pressed") === "true")
      .map((button) => button.dataset.outcome));
  }

  function apply() {
    const outcomes = chosen();
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const component = whom ? whom.value : "";
    const active = outcomes.size > 0 || words.length > 0;
    let shown = 0;
    for (const subject of subjects) {
      const counts = !component || subject.id === component;
      let some = false;
      for (const tier of all(".tier", subject)) {
        let here = 0;
        for (const check of all(".check", tier)) {
          const fits = counts && (outcomes.size === 0 || outcomes.has(check.dataset.outcome))
            && words.every((word) => textOf(check).includes(word));
          check.hidden = !fits;
          here += fits ? 1 : 0;
        }
        tier.hidden = here === 0;
        some = some || here > 0;
        shown += here;
        if (active && here > 0 && !tier.open) {
          tier.open = true;
          openedByFilter.add(tier);
        }
      }
      subject.hidden = !some && (active || !counts);
    }
    if (!active) {
      for (const tier of openedByFilter) tier.open = false;
      openedByFilter.clear();
    }
    const narrowed = shown !== checks.length;
    count.textContent = narrowed ? `${shown} of ${checks.length} checks` : `${checks.length} checks`;
    form.querySelector("button[type=reset]").hidden = !narrowed && !active;
  }

  function showAll() {
    form.reset();
    for (const button of toggles) button.setAttribute("aria-pressed", "false");
    apply();
  }

  for (const button of toggles) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      apply();
    });
  }
  search.addEventListener("input", apply);
  if (whom) whom.addEventListener("change", apply);
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    search.value = "";
    if (whom) whom.value = "";
    for (const button of toggles) button.setAttribute("aria-pressed", "false");
    apply();
  });
  form.addEventListener("submit", (event) => event.preventDefault());

  // --- where a link leads -------------------------------------------------------------------------------------

  function reveal(place) {
    const target = place && document.getElementById(decodeURIComponent(place));
    if (!target) return;
    if (target.closest("[hidden]")) showAll();
    let last = null;
    for (let node = target; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") {
        node.open = true;
        last = last || node;
        openedByFilter.delete(node);
      }
    }
    target.scrollIntoView({ block: "start" });
    const heading = last ? last.querySelector("summary") : target;
    if (!last) target.setAttribute("tabindex", "-1");
    heading.focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.matches(".cell, .shown-by a")) cameFrom = link;
    const place = link.getAttribute("href").slice(1);
    event.preventDefault();
    history.pushState(null, "", `#${place}`);
    reveal(place);
  });
  addEventListener("popstate", () => reveal(location.hash.slice(1)));

  // --- keys ---------------------------------------------------------------------------------------------------

  function neighbour(cell, key) {
    const row = cell.closest("tr");
    const column = Array.from(row.children).indexOf(cell.closest("td"));
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key];
    const rows = Array.from(row.parentElement.children);
    let down = rows.indexOf(row);
    let right = column;
    for (;;) {
      down += steps[0];
      right += steps[1];
      const next = rows[down] && rows[down].children[right];
      if (!next) return null;
      const link = next.querySelector(".cell");
      if (link) return link;
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const cell = event.target.closest(".cell");
    const typing = event.target.matches("input, select, textarea");
    if (cell && event.key.startsWith("Arrow")) {
      const next = neighbour(cell, event.key);
      event.preventDefault();
      if (next) next.focus();
    } else if (event.key === "/" && !typing) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && event.target === search && search.value) {
      search.value = "";
      apply();
    } else if (event.key === "Escape" && cameFrom) {
      cameFrom.scrollIntoView({ block: "center" });
      cameFrom.focus({ preventScroll: true });
      cameFrom = null;
    }
  });

  // --- copying ------------------------------------------------------------------------------------------------

  async function copy(pre, button) {
    if (button.textContent !== "copy") return;
    let done = true;
    try {
      await navigator.clipboard.writeText(pre.textContent);
    } catch {
      getSelection().selectAllChildren(pre);
      done = document.execCommand("copy");
    }
    const name = button.getAttribute("aria-label");
    button.textContent = done ? "copied" : "selected";
    button.setAttribute("aria-label", button.textContent);
    setTimeout(() => {
      button.textContent = "copy";
      button.setAttribute("aria-label", name);
    }, 1500);
  }

  for (const block of all("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", `copy ${block.dataset.copy}`);
    button.addEventListener("click", () => copy(block.querySelector("pre"), button));
    block.append(button);
  }

  // --- paper --------------------------------------------------------------------------------------------------

  let openedForPaper = [];
  addEventListener("beforeprint", () => {
    openedForPaper = all(".tier").filter((tier) => !tier.open && tier.querySelector(".check.bad"));
    for (const tier of openedForPaper) tier.open = true;
  });
  addEventListener("afterprint", () => {
    for (const tier of openedForPaper) tier.open = false;
  });

  apply();
  if (location.hash) reveal(location.hash.slice(1));
})();
