// Charts over time: lines, or areas or bars upon each other; with values under a cursor that mouse and arrow keys move, and as a table.

import { el, svg, table } from "/web/dom.js";
import { clock, moment } from "/web/text.js";

const HEIGHT = 210;
/** Until it is known how much room there is. */
const WIDTH = 640;
const LEFT = 56;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 24;
/** Colours there are; what comes after the last is told together. */
export const COLOURS = 8;
const ROWS_MAX = 120;

/** A scale's end, and the distance of its lines: 1, 2 or 5 times a power of ten. */
function scale(most) {
  const raw = (most > 0 ? most : 1) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((times) => times * power >= raw * 0.999) * power;
  return { step, end: Math.max(step, Math.ceil((most > 0 ? most : 1) / step - 1e-9) * step) };
}

/** Times that are marked, so many at the most: whole minutes, hours or days where the box is looked at. */
function marks(from, until, most) {
  const span = until - from;
  const steps = [30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000];
  const step = steps.find((seconds) => span / seconds <= most) ?? Math.ceil(span / most / 31536000) * 31536000;
  const zone = new Date(from * 1000).getTimezoneOffset() * 60;
  const first = Math.ceil((from - zone) / step) * step + zone;
  return Array.from({ length: Math.max(0, Math.floor((until - first) / step) + 1) }, (_, at) => first + at * step);
}

/** The largest series by their sum, the others as one; each `{ name, values }`. */
export function greatest(series, most = COLOURS) {
  const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0);
  const sorted = [...series].sort((a, b) => sum(b.values) - sum(a.values));
  if (sorted.length <= most) {
    return sorted;
  }
  const rest = sorted.slice(most - 1);
  const values = rest[0].values.map((_, at) => {
    const there = rest.map((one) => one.values[at]).filter((value) => value !== null);
    return there.length ? there.reduce((all, value) => all + value, 0) : null;
  });
  return [...sorted.slice(0, most - 1), { name: `${rest.length} others`, values }];
}

/**
 * A chart that is drawn anew by `update({ from, step, series, mode, format })`: `from` and `step` in seconds, `series` a list of
 * `{ name, values }` of equal lengths with null where nothing is known, `mode` lines, areas or bars, `format` of a value.
 */
export function chart(title, empty) {
  const now = el("span", { class: "muted" });
  const canvas = svg("svg", { height: HEIGHT, role: "img", tabindex: "0", "aria-label": title });
  const tip = el("div", { class: "tip", hidden: true });
  const plot = el("div", { class: "plot" }, canvas, tip);
  const names = el("ul", { class: "names" });
  const nothing = el("p", { class: "empty", hidden: true }, empty);
  const rows = el("div", { class: "table", tabindex: "0", role: "region", "aria-label": `${title}, as a table` });
  const details = el("details", {}, el("summary", {}, "As a table"), rows);
  const figure = el("figure", { class: "chart card" }, el("figcaption", {}, el("b", {}, title), now), plot, nothing, names, details);
  let shown = null;
  let cursor = null;
  let width = WIDTH;

  const x = (at) => LEFT + ((width - LEFT - RIGHT) * at) / Math.max(1, shown.length - (shown.mode === "bars" ? 0 : 1));
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / shown.end);
  const middle = (at) => x(at) + (shown.mode === "bars" ? (x(1) - x(0)) / 2 : 0);

  function lineOf(values) {
    let path = "";
    let isDown = false;
    values.forEach((value, at) => {
      path += value === null ? "" : `${isDown ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      isDown = value !== null;
    });
    return path;
  }

  /** What stands below each series where they stand upon each other. */
  function stacked() {
    const below = new Array(shown.length).fill(0);
    return shown.series.map((one) => {
      const base = [...below];
      one.values.forEach((value, at) => (below[at] += value ?? 0));
      return { base, top: [...below] };
    });
  }

  function marksOf() {
    const { from, step, length, series, mode } = shown;
    if (mode === "lines") {
      return series.map((one, at) => svg("path", { class: `line s${at}`, d: lineOf(one.values) }));
    }
    const layers = stacked();
    if (mode === "areas") {
      return layers.map(({ base, top }, at) => {
        const up = top.map((value, slot) => `${x(slot).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
        const back = base.map((value, slot) => `${x(slot).toFixed(1)} ${y(value).toFixed(1)}`).reverse().join("L");
        return svg("path", { class: `area s${at}`, d: `M${up}L${back}Z` });
      });
    }
    const wide = Math.max(1, x(1) - x(0) - 1);
    return layers.flatMap(({ base, top }, at) =>
      Array.from({ length }, (_, slot) => slot).filter((slot) => top[slot] > base[slot]).map((slot) =>
        svg("rect", { class: `bar s${at}`, x: x(slot).toFixed(1), y: y(top[slot]).toFixed(1), width: wide.toFixed(1), height: (y(base[slot]) - y(top[slot])).toFixed(1) },
          svg("title", {}, `${moment(from + slot * step)}: ${series[at].name} ${shown.format(series[at].values[slot])}`))));
  }

  function draw() {
    const { from, step, length, format, end, lineStep } = shown;
    const until = from + step * Math.max(1, length - (shown.mode === "bars" ? 0 : 1));
    const parts = [];
    for (let value = 0; value <= end * 1.0001; value += lineStep) {
      parts.push(svg("line", { class: value === 0 ? "axis" : "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
        svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value, true)));
    }
    for (const at of marks(from, until, Math.max(2, Math.floor(width / 90)))) {
      const place = LEFT + ((width - LEFT - RIGHT) * (at - from)) / (until - from);
      parts.push(svg("line", { class: "grid", x1: place, x2: place, y1: TOP, y2: HEIGHT - BOTTOM }));
      if (place > LEFT + 20 && place < width - RIGHT - 20) {
        parts.push(svg("text", { x: place, y: HEIGHT - 7, "text-anchor": "middle" }, clock(at, until - from)));
      }
    }
    parts.push(...marksOf());
    if (cursor !== null && cursor < length) {
      parts.push(svg("line", { class: "cursor", x1: middle(cursor), x2: middle(cursor), y1: TOP, y2: HEIGHT - BOTTOM }));
    }
    canvas.replaceChildren(...parts);
  }

  function value(name, at, text) {
    return el("li", {}, el("span", { class: `swatch s${at}` }), name, el("span", { class: "value" }, text));
  }

  function point() {
    tip.hidden = cursor === null || !shown || cursor >= shown.length;
    if (tip.hidden) {
      return;
    }
    const at = cursor;
    const of = shown.series.map((one, place) => value(one.name, place, shown.format(one.values[at])));
    tip.replaceChildren(el("p", {}, moment(shown.from + at * shown.step)), el("ul", {}, ...of));
    const share = (middle(at) / width) * 100;
    tip.style.left = share < 50 ? `calc(${share}% + 0.6rem)` : "auto";
    tip.style.right = share < 50 ? "auto" : `calc(${100 - share}% + 0.6rem)`;
    // Who moves the cursor by keys hears where it is.
    canvas.setAttribute("aria-label", `${title}. ${moment(shown.from + at * shown.step)}: ${shown.series.map((one) => `${one.name} ${shown.format(one.values[at])}`).join(", ")}`);
  }

  function move(to) {
    cursor = to === null || !shown ? null : Math.min(Math.max(to, 0), shown.length - 1);
    if (shown) {
      draw();
    }
    point();
  }

  function fillTable() {
    if (!details.open || !shown) {
      return;
    }
    const { from, step, length, series, format } = shown;
    // The newest first; no more than somebody reads.
    const slots = Array.from({ length }, (_, at) => length - 1 - at).slice(0, ROWS_MAX);
    const lines = slots.map((at) => [moment(from + at * step), ...series.map((one) => format(one.values[at]))]);
    rows.replaceChildren(table(`${title}, each ${step} s, the newest first`, ["Time", ...series.map((one) => one.name)], lines));
  }

  canvas.addEventListener("pointermove", (event) => {
    if (shown) {
      const box = canvas.getBoundingClientRect();
      const place = ((event.clientX - box.left) / box.width) * width;
      const slots = ((place - LEFT) / (width - LEFT - RIGHT)) * Math.max(1, shown.length - (shown.mode === "bars" ? 0 : 1));
      move(shown.mode === "bars" ? Math.floor(slots) : Math.round(slots));
    }
  });
  canvas.addEventListener("pointerleave", () => move(null));
  canvas.addEventListener("blur", () => move(null));
  canvas.addEventListener("keydown", (event) => {
    const last = (shown?.length ?? 1) - 1;
    const to = { ArrowLeft: (cursor ?? last + 1) - 1, ArrowRight: (cursor ?? last - 1) + 1, Home: 0, End: last, Escape: null }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      move(to);
    }
  });
  details.addEventListener("toggle", fillTable);
  // Texts keep their size whatever room there is.
  new ResizeObserver(() => {
    const room = Math.round(plot.clientWidth);
    if (room > 0 && room !== width) {
      width = room;
      if (shown) {
        draw();
        point();
      }
    }
  }).observe(plot);

  function update({ from, step, series, mode, format }) {
    const length = series[0]?.values.length ?? 0;
    const isEmpty = length < 2 || series.every((one) => one.values.every((known) => known === null));
    [plot, names, details].forEach((element) => (element.hidden = isEmpty));
    nothing.hidden = !isEmpty;
    if (isEmpty) {
      shown = null;
      now.textContent = "";
      return;
    }
    const tops = Array.from({ length }, (_, at) => series.map((one) => one.values[at] ?? 0));
    const most = Math.max(...tops.map((all) => (mode === "lines" ? Math.max(...all) : all.reduce((sum, one) => sum + one, 0))));
    const { end, step: lineStep } = scale(most);
    shown = { from, step, length, series, mode, format, end, lineStep };
    draw();
    point();
    const last = (values) => values.findLast((known) => known !== null) ?? null;
    const isOfTime = mode !== "bars";
    names.replaceChildren(...series.map((one, at) => value(one.name, at, isOfTime ? format(last(one.values)) : format(one.values.reduce((sum, known) => sum + (known ?? 0), 0)))));
    now.textContent = isOfTime ? `at most ${format(most)}` : "";
    if (cursor === null) {
      canvas.setAttribute("aria-label", `${title}: ${series.map((one) => `${one.name} ${format(last(one.values))}`).join(", ")}; at most ${format(most)}. Arrow keys move through time.`);
    }
    fillTable();
  }

  return { figure, update };
}
