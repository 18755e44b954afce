// Puts the page together, and asks further questions where a server answers them.

(() => {
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const { asks, inspection } = JSON.parse(byId("data").textContent);
  let candidates = null;

  function show(found) {
    candidates = new Candidates(found);
    const sessions = timelineSection(found, (session) => {
      candidates.chooseSession(session);
      candidates.element.scrollIntoView();
      candidates.only.focus({ preventScroll: true });
    });
    const parts = [budgetSection(found), candidates.element, sessions, promptSection(found)];
    byId("content").replaceChildren(overview(found), ...parts);
    byId("nav").replaceChildren(...parts.map((part) =>
      element("a", { href: `#${part.id}` }, part.querySelector("h2").textContent)));
    byId("nav").hidden = false;
  }

  // --- light and dark -------------------------------------------------------------------------------------------

  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : darkness.matches);

  function nameTheme() {
    byId("theme").textContent = isDark() ? "Light theme" : "Dark theme";
  }

  byId("theme").hidden = false;
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  darkness.addEventListener("change", nameTheme);
  nameTheme();

  // --- keys -----------------------------------------------------------------------------------------------------

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || candidates === null) return;
    const { search } = candidates;
    if (event.key === "/" && !event.target.matches("input, select, textarea")) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && event.target === search && search.value) {
      search.value = "";
      candidates.refresh();
    } else if (event.key === "Escape") {
      candidates.close(event.target);
    }
  });

  // --- further questions ----------------------------------------------------------------------------------------

  async function ask(question) {
    const sent = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ question }) };
    const answer = await fetch("ask", sent);
    const found = await answer.json();
    if (!answer.ok) throw new Error(`${found.error} Fix: ${found.fix}`);
    return found;
  }

  byId("ask").hidden = !asks;
  byId("ask").addEventListener("submit", async (event) => {
    event.preventDefault();
    const said = byId("asked");
    const press = event.target.querySelector("button");
    press.disabled = true;
    said.className = "";
    said.textContent = "Building the context \u2026";
    try {
      const found = await ask(byId("question").value);
      show(found);
      document.title = `${found.question.slice(0, 80)} \u2013 ctxkit`;
      said.textContent = `Built: ${counted(found.tokens, "token")}, ${counted(found.candidates.length, "candidate")}.`;
    } catch (error) {
      said.className = "error";
      said.textContent = error instanceof TypeError || error instanceof SyntaxError
        ? "The inspector does not answer any more; start `ctxkit inspect --serve` again." : error.message;
    } finally {
      press.disabled = false;
      byId("question").select();
    }
  });

  if (inspection === null) {
    byId("content").replaceChildren(element("p", { class: "welcome" }, "A question shows what the model would be given"
      + " for it: how the budget is spent, every memory that was considered with its scores, and why it is in or out."));
  } else {
    show(inspection);
  }
  if (asks) byId("question").focus();
})();
