// Where boxes stand and arrows go: modules in columns by how far they are from where records come from.

import { svg } from "/web/dom.js";

/** The column of each module: one behind the last of those it reads from. Those that send in a circle stand where they were met. */
export function columns(names, links) {
  const before = new Map(names.map((name) => [name, []]));
  for (const link of links) {
    if (before.has(link.to) && before.has(link.from) && link.from !== link.to) {
      before.get(link.to).push(link.from);
    }
  }
  const known = new Map();
  const underWay = new Set();
  const column = (name) => {
    if (known.has(name)) {
      return known.get(name);
    }
    if (underWay.has(name)) {
      return -1;
    }
    underWay.add(name);
    const at = Math.max(-1, ...before.get(name).map(column)) + 1;
    underWay.delete(name);
    known.set(name, at);
    return at;
  };
  names.forEach(column);
  return known;
}

/** Profiles in rows: those whose columns differ stand side by side, in the order of the configuration. */
export function shelves(profiles, column) {
  const rows = [];
  for (const profile of profiles) {
    const of = profile.modules.filter((name) => column.has(name)).map((name) => column.get(name));
    const first = Math.min(...of, ...(of.length ? [] : [0]));
    const last = Math.max(first, ...of);
    const isFree = (row) => row.every((other) => other.last < first || other.first > last);
    const row = rows.find(isFree);
    if (row) {
      row.push({ profile, first, last });
    } else {
      rows.push([{ profile, first, last }]);
    }
  }
  return rows;
}

/** Modules of a profile, ordered so that arrows cross less: by the mean place of those that they read from. */
export function ordered(modules, links, place) {
  const mean = (name) => {
    const from = links.filter((link) => link.to === name && place.has(link.from)).map((link) => place.get(link.from));
    return from.length ? from.reduce((sum, at) => sum + at, 0) / from.length : place.get(name);
  };
  return modules.map((module) => [mean(module.name), module]).sort((a, b) => a[0] - b[0]).map(([, module]) => module);
}

/** Draws an arrow for each link between two boxes of the area; `boxes` are elements by name, `look(link)` its class and label. */
export function draw(canvas, area, boxes, links, look) {
  const origin = area.getBoundingClientRect();
  canvas.setAttribute("width", origin.width);
  canvas.setAttribute("height", origin.height);
  const of = (name) => {
    const box = boxes.get(name).getBoundingClientRect();
    return { left: box.left - origin.left, right: box.right - origin.left, top: box.top - origin.top, height: box.height };
  };
  const shown = links.filter((link) => boxes.has(link.from) && boxes.has(link.to));
  // Arrows that leave or enter the same box stand side by side, in the order of their other ends.
  const port = (link, end) => {
    const far = end === "from" ? "to" : "from";
    const same = shown.filter((other) => other[end] === link[end]).sort((a, b) => of(a[far]).top - of(b[far]).top);
    const box = of(link[end]);
    return box.top + (box.height * (same.indexOf(link) + 1)) / (same.length + 1);
  };
  const markers = ["flowing", "idle", "dropping", "down"].map((kind) =>
    svg("marker", { id: `tip-${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 10, markerHeight: 10, markerUnits: "userSpaceOnUse", orient: "auto", class: kind },
      svg("path", { d: "M0 0 8 4 0 8z" })));
  const arrows = shown.map((link) => {
    const [from, to] = [of(link.from), of(link.to)];
    const [x1, y1, x2, y2] = [from.right, port(link, "from"), to.left - 2, port(link, "to")];
    const isBack = x2 < x1;
    const reach = isBack ? 60 : Math.max(24, (x2 - x1) / 2);
    const { kind, label } = look(link);
    const path = svg("path", { d: `M${x1} ${y1}C${x1 + reach} ${y1} ${x2 - reach} ${y2} ${x2} ${y2}`, class: `arrow ${kind}`, "marker-end": `url(#tip-${kind})` });
    // Just before its tip, where boxes leave a gap.
    const text = label && svg("text", { x: x2 - 12, y: y2 - 6, "text-anchor": "end", class: "rate" }, label);
    return svg("g", {}, path, text || null);
  });
  canvas.replaceChildren(svg("defs", {}, ...markers), ...arrows);
}
