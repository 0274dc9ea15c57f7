// The traffic page: what probes counted over time, and who talks now.

import { get, repeat } from "/web/api.js";
import { chart, greatest } from "/web/chart.js";
import { byId, el, setText, svg } from "/web/dom.js";
import { begin } from "/web/session.js";
import { bytes, count, protocol, short, withUnit } from "/web/text.js";

/** Time between two looks, by the span that is shown: each slot is told once it is over. */
const LOOK_MS = { 300: 2_000, 3600: 10_000, 86400: 60_000 };
const TALKERS_SHOWN = 12;

const perSecond = (unit) => (value, isShort) => (value === null ? "–" : isShort ? short(value) : withUnit(value, unit));
const flows = (value, isShort) => (value === null ? "–" : isShort ? short(value) : withUnit(value, "flows"));

/** Counters by the links that they are of: the same name for the same thing, whichever chart it is in. */
const nameOf = (series) => `${series.probe} · ${series.name}`;
/** Counters whose names begin so, as series by what comes behind it. */
const behind = (prefix) => (series) => (series.counter.startsWith(prefix) ? series.counter.slice(prefix.length) : null);
const exactly = (...counters) => (series) => (counters.includes(series.counter) ? nameOf(series) : null);

/** What a chart shows: `of` says under which name a counter is added up, null if it is none of its own. */
const CHARTS = [
  { title: "Packets", mode: "lines", format: perSecond("packets/s"), of: exactly("packets.taken") },
  { title: "Bits", mode: "lines", format: perSecond("bit/s"), times: 8, of: exactly("bytes.decoded") },
  { title: "New flows", mode: "lines", format: perSecond("flows/s"), of: exactly("flows.opened", "flows.continued") },
  { title: "Live flows", mode: "lines", format: flows, of: exactly("flows.live") },
  { title: "Application protocols", mode: "areas", format: perSecond("records/s"), of: behind("records."), empty: "No record with fields of a protocol yet; process plugins (-p) read them." },
  { title: "Service ports, of flows that ended", mode: "areas", format: perSecond("bit/s"), times: 8, of: service },
  { title: "Why flows ended", mode: "areas", format: perSecond("flows/s"), of: behind("flows.ended.") },
  { title: "Dropped, by reason", mode: "areas", format: perSecond("/s"), of: dropped, empty: "Nothing was dropped." },
  { title: "Records sent, by output", mode: "lines", format: perSecond("records/s"), of: (series) => (series.part === "output" && series.counter === "sent" ? nameOf(series) : null), empty: "No probe has an output." },
];

/** `443/tcp`; ports without a counter of their own are together. */
function service(series) {
  const [family, protocol, port] = series.counter.split(".");
  if (family !== "services" || series.part !== "link") {
    return null;
  }
  return port === "none" ? "without ports" : `${port}/${protocol}`;
}

function dropped(series) {
  if (series.part === "output") {
    return series.counter.startsWith("dropped.") ? `${series.name}: ${series.counter.slice(8)}` : null;
  }
  for (const [prefix, where] of [["capture.dropped.", "capture: "], ["packets.dropped.", "packets: "], ["refused.", "output "]]) {
    if (series.counter.startsWith(prefix)) {
      return where + series.counter.slice(prefix.length);
    }
  }
  return null;
}

const EMPTY = "Nothing was counted yet. A probe shows here once it runs; docs/web.md says how.";
const charts = CHARTS.map((about) => ({ about, drawn: chart(about.title, about.empty ?? EMPTY) }));
let told = { step: 2, from: 0, slots: 0, series: [] };

function span() {
  return Number(new FormData(byId("controls")).get("span"));
}

/** The counters of a chart as they are drawn: added up by name, growth by the second. */
function seriesOf(about) {
  const link = byId("link").value;
  const sums = new Map();
  for (const series of told.series) {
    const name = about.of(series);
    if (name === null || (link && (series.part !== "link" || nameOf(series) !== link))) {
      continue;
    }
    const by = series.level ? 1 : (about.times ?? 1) / told.step;
    const sum = sums.get(name) ?? new Array(told.slots).fill(null);
    series.values.forEach((value, at) => {
      if (value !== null) {
        sum[at] = (sum[at] ?? 0) + value * by;
      }
    });
    sums.set(name, sum);
  }
  return greatest([...sums].map(([name, values]) => ({ name, values })));
}

function show() {
  for (const { about, drawn } of charts) {
    drawn.update({ from: told.from, step: told.step, series: seriesOf(about), mode: about.mode, format: about.format });
  }
}

function offerLinks() {
  const names = [...new Set(told.series.filter((series) => series.part === "link").map(nameOf))].sort();
  const select = byId("link");
  const known = [...select.options].slice(1).map((option) => option.value);
  if (names.join("\n") === known.join("\n")) {
    return;
  }
  const chosen = select.value;
  select.replaceChildren(el("option", { value: "" }, "All links"), ...names.map((name) => el("option", { value: name }, name)));
  select.value = names.includes(chosen) ? chosen : "";
}

function share(part, all) {
  const wide = all > 0 ? (100 * part) / all : 0;
  return svg("svg", { class: "share", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "rest", width: 100, height: 8 }), svg("rect", { width: wide, height: 8 }));
}

function bars(caption, heads, rows) {
  const all = rows.reduce((sum, row) => sum + row.bytes, 0);
  const head = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)), el("th", { scope: "col", class: "number" }, "Bytes"), el("th", { scope: "col", class: "number" }, "Packets"), el("th", { scope: "col" }, el("span", { class: "unseen" }, "Share")));
  const body = rows.slice(0, TALKERS_SHOWN).map((row) => el("tr", {},
    ...row.cells.map((cell, at) => el(at ? "td" : "th", at ? {} : { scope: "row" }, cell)),
    el("td", { class: "number" }, bytes(row.bytes)), el("td", { class: "number" }, short(row.packets)), el("td", {}, share(row.bytes, all))));
  return el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, head), el("tbody", {}, ...body));
}

/** An address with its port (RFC 3986 section 3.2.2). */
function endOf({ dst, dst_port: port }) {
  const host = dst.includes(":") ? `[${dst}]` : dst;
  return port ? `${host}:${port}` : dst;
}

function showTalkers(probes) {
  const talkers = probes.filter((probe) => probe.alive).flatMap((probe) => probe.talkers);
  const ports = new Map();
  for (const talker of talkers) {
    const name = talker.dst_port ? `${talker.dst_port}/${protocol(talker.protocol)}` : protocol(talker.protocol);
    const sum = ports.get(name) ?? { cells: [name], bytes: 0, packets: 0 };
    sum.bytes += talker.bytes;
    sum.packets += talker.packets;
    ports.set(name, sum);
  }
  const byBytes = (rows) => rows.sort((a, b) => b.bytes - a.bytes);
  const nothing = () => el("p", { class: "muted" }, "No flow ended lately.");
  const pairs = talkers.map((talker) => ({ cells: [talker.src, endOf(talker), protocol(talker.protocol)], bytes: talker.bytes, packets: talker.packets }));
  byId("ports").replaceChildren(ports.size ? bars("Ports by bytes, among the top talkers", ["Port"], byBytes([...ports.values()])) : nothing());
  byId("talkers").replaceChildren(pairs.length ? bars("Pairs of addresses by bytes", ["From", "To", "Protocol"], byBytes(pairs)) : nothing());
}

async function look() {
  const [slots, probes] = await Promise.all([get(`/v1/history?from=-${span()}`), get("/v1/probes")]);
  told = slots;
  const lost = told.refused ? ` · ${count(told.refused, "counter")} without room in the history` : "";
  setText(byId("summary"), `${count(probes.filter((probe) => probe.alive).length, "probe")} · a point each ${told.step} s${lost}`);
  offerLinks();
  show();
  showTalkers(probes);
}

if (await begin()) {
  byId("charts").append(...charts.map(({ drawn }) => drawn.figure));
  let looks = repeat(LOOK_MS[span()], look);
  byId("controls").addEventListener("change", () => {
    looks.stop();
    looks = repeat(LOOK_MS[span()], look);
  });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
}
