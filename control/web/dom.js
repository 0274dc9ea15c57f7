// Elements, made and replaced. Texts become text nodes, so what modules and alerts say is never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element of HTML: `el("a", { href: "/" }, "Status")`. */
export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** An element of SVG. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** The element of the page with that id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Sets a text only where it differs, so that selections and screen readers are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Says something to those who listen to the page. */
export function say(text) {
  setText(byId("said"), text);
}

/** A table with a caption, for people who do not see the picture: rows are arrays, the first cell of each is its head. */
export function table(caption, heads, rows, attributes = {}) {
  const head = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...cells]) =>
    el("tr", {}, el("th", { scope: "row" }, first), ...cells.map((cell) => el("td", {}, cell))));
  return el("table", attributes, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, ...body));
}
