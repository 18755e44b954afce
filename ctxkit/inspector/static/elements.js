// Making elements. Texts become text nodes and nothing else, so that no memory can become markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

const element = (name, attributes = {}, ...children) => filled(document.createElement(name), attributes, children);

const drawn = (name, attributes = {}, ...children) => filled(document.createElementNS(SVG, name), attributes, children);

function button(text, attributes, pressed) {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", pressed);
  return made;
}

const SIGNS = {
  kept: "M3.2 8.6l3.1 3.1 6.5-7.2",
  dropped: "M4.5 8h7",
  open: "M5.5 3.5L10 8l-4.5 4.5",
};

function sign(name) {
  const shape = drawn("path", { d: SIGNS[name] });
  return drawn("svg", { class: `sign ${name}`, viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, shape);
}

const swatch = (kind) =>
  drawn("svg", { class: "swatch", viewBox: "0 0 12 12", "aria-hidden": "true", focusable: "false" },
    drawn("rect", { class: kind, width: 12, height: 12, rx: 3 }));

function section(id, title, about, ...children) {
  const heading = element("h2", { id: `${id}-title` }, title);
  const lead = about ? element("p", { class: "lead" }, about) : null;
  return element("section", { id, "aria-labelledby": `${id}-title` }, heading, lead, children);
}
