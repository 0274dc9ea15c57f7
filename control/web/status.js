// The status page: modules as boxes in their profiles, what they send each other, and what operators may do with them.

import { explain, get, notice, part, post, repeat } from "/web/api.js";
import { byId, el, say, setText } from "/web/dom.js";
import { columns, draw, ordered, shelves } from "/web/graph.js";
import { begin } from "/web/session.js";
import { bytes, short, whole, withUnit } from "/web/text.js";

/** Counters change all the time and are asked for; what changes state is told by events. */
const LOOK_MS = 2_000;
/** Where there is no place for a watcher, changes are seen at the next look. */
const WATCH_AGAIN_MS = 30_000;

/** Looks that a rate is over: records go in containers, so single looks jump. */
const SAMPLES = 6;

const modules = new Map();
const boxes = new Map();
/** Counters at the last looks, by module, way and interface. */
const rates = new Map();
let profiles = [];
let links = [];
let may = () => false;
let shape = "";

function stateOf(module) {
  if (module.parked) {
    return { word: "given up", kind: "bad" };
  }
  const isOn = module.enabled && (profiles.find((profile) => profile.name === module.profile)?.enabled ?? true);
  if (module.running) {
    return isOn ? { word: "running", kind: "ok" } : { word: "stopping", kind: "warn" };
  }
  return isOn ? { word: "down", kind: "bad" } : { word: "stopped", kind: "off" };
}

function rateOf(module, way, at) {
  return rates.get(`${module.name}\n${way}\n${at}`) ?? {};
}

/** How fast counters grow, over the last few looks; a process that began anew has nothing to compare with. */
function measure(module, now) {
  for (const [way, interfaces] of [["in", module.inputs], ["out", module.outputs]]) {
    interfaces.forEach((ifc, at) => {
      const key = `${module.name}\n${way}\n${at}`;
      const known = rates.get(key);
      const sample = { now, messages: ifc.messages, drops: ifc.dropped ?? 0 };
      const isSame = known?.pid === module.pid && known.samples.at(-1).messages <= sample.messages;
      const samples = [...(isSame ? known.samples : []), sample].slice(-SAMPLES);
      const seconds = (now - samples[0].now) / 1000;
      const speed = (what) => (seconds > 0 ? (sample[what] - samples[0][what]) / seconds : null);
      rates.set(key, { pid: module.pid, samples, rate: speed("messages"), dropRate: speed("drops") });
    });
  }
}

/** What is to be said of an interface beside its rate: only what is not as one would expect. */
function oddity(way, ifc, dropRate) {
  if (way === "in") {
    return ifc.connected ? null : el("span", { class: "warn" }, "waits for its sender");
  }
  const readers = ifc.kind !== "f" && ifc.kind !== "b" && ifc.clients === 0 ? "nobody reads" : "";
  const drops = ifc.dropped > 0 ? el("span", { class: dropRate > 0 ? "bad" : "muted" }, `${readers ? ", " : ""}${short(ifc.dropped)} dropped`) : null;
  return readers || drops ? el("span", { class: "muted" }, readers, drops) : null;
}

function interfaceRows(module) {
  const row = (way, ifc, at) => {
    const { rate, dropRate } = rateOf(module, way, at);
    const name = `${ifc.kind}:${ifc.id}`;
    const state = way === "in" ? `${short(ifc.messages)} messages` : `${short(ifc.messages)} messages, ${ifc.clients} readers`;
    const odd = oddity(way, ifc, dropRate);
    return el("li", { title: `${name}: ${state}` }, el("span", { class: "way" }, way), el("span", { class: "ifc" }, name),
      el("span", { class: "flow" }, rate === null || rate === undefined ? "…" : withUnit(rate, "/s")),
      odd && el("span", { class: "state" }, odd));
  };
  return [...module.inputs.map((ifc, at) => row("in", ifc, at)), ...module.outputs.map((ifc, at) => row("out", ifc, at))];
}

async function order(module, verb) {
  try {
    await post(`/v1/modules/${part(module.name)}/${verb}`);
    notice(null);
    say(`${module.name}: ${verb} was asked for.`);
    await look();
  } catch (why) {
    explain(why);
  }
}

function buttons(module) {
  if (!may("operator")) {
    return [];
  }
  const button = (text, verb) => el("button", { type: "button", "data-verb": verb, "aria-label": `${text} ${module.name}`, onclick: () => order(modules.get(module.name), verb) }, text);
  return module.running ? [button("Restart", "restart"), button("Stop", "disable")] : [button("Start", "enable")];
}

function fact(name, value, kind = "") {
  return el("div", {}, el("dt", {}, name), el("dd", { class: kind }, value));
}

/** Fills a box anew, but leaves its buttons where they are, for somebody may be about to press one. */
function refresh(box, module) {
  const { word, kind } = stateOf(module);
  box.className = `module ${kind}`;
  setText(box.querySelector(".badge"), word);
  box.querySelector(".facts").replaceChildren(
    fact("PID", module.pid ?? "–"),
    fact("Restarts", `${module.restarts} of ${module.restarts_max}`, module.restarts > 0 ? "warn" : ""),
    fact("CPU", module.running ? `${module.cpu_user + module.cpu_system} %` : "–"),
    fact("Memory", module.running ? bytes(module.resident_bytes) : "–"));
  box.querySelector(".interfaces").replaceChildren(...interfaceRows(module));
  const named = (ends, text) => (ends.length ? `${text} ${[...new Set(ends)].join(", ")}` : "");
  const reads = named(links.filter((link) => link.to === module.name).map((link) => link.from), "reads from");
  const sends = named(links.filter((link) => link.from === module.name).map((link) => link.to), "sends to");
  setText(box.querySelector(".neighbours"), [reads, sends].filter(Boolean).join("; "));
  setText(box.querySelector(".why"), module.parked ?? "");
  const actions = box.querySelector(".actions");
  const wanted = buttons(module);
  const verbs = (list) => list.map((button) => button.dataset.verb).join(" ");
  if (verbs([...actions.children]) !== verbs(wanted)) {
    const hadFocus = actions.contains(document.activeElement);
    actions.replaceChildren(...wanted);
    if (hadFocus) {
      wanted[0]?.focus();
    }
  }
}

/** A name that lines may break behind its underscores. */
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((piece) => [piece, el("wbr")]);
}

function newBox(module, column) {
  const id = `m-${[...modules.keys()].indexOf(module.name)}`;
  const box = el("article", { class: "module", "aria-labelledby": id, "data-module": module.name },
    el("header", {}, el("h4", { id, title: [module.path, module.params].filter(Boolean).join(" ") }, ...breakable(module.name)), el("span", { class: "badge" })),
    el("dl", { class: "facts" }), el("ul", { class: "interfaces", "aria-label": "Interfaces" }),
    el("p", { class: "neighbours" }), el("p", { class: "why bad" }), el("div", { class: "actions" }));
  box.style.gridColumn = String(column + 1);
  return box;
}

/** Makes all boxes anew where there are others than before. */
function arrange() {
  const now = JSON.stringify([profiles.map((p) => [p.name, p.modules]), links.map((l) => [l.from, l.to]), may("operator")]);
  if (now === shape) {
    return;
  }
  shape = now;
  const names = [...modules.keys()];
  const column = columns(names, links);
  const width = Math.max(0, ...column.values()) + 1;
  const place = new Map(names.map((name, at) => [name, at]));
  boxes.clear();
  const all = shelves(profiles, column).map((shelf) => {
    const row = el("div", { class: "shelf" });
    row.style.gridTemplateColumns = `repeat(${width}, minmax(14.5rem, 1fr))`;
    for (const { profile, first, last } of shelf) {
      const members = profile.modules.map((name) => modules.get(name)).filter(Boolean);
      const made = ordered(members, links, place).map((module) => {
        const box = newBox(module, column.get(module.name) - first);
        boxes.set(module.name, box);
        return box;
      });
      const head = el("h3", {}, profile.name, profile.enabled ? null : el("span", { class: "badge off" }, "off"));
      const section = el("section", { class: "profile", "aria-label": `Profile ${profile.name}` }, head, ...made);
      section.style.gridColumn = `${first + 1} / ${last + 2}`;
      row.append(section);
    }
    return row;
  });
  byId("bands").replaceChildren(...(all.length ? all : [el("p", { class: "muted" }, "No module is configured. “sonda ctl reference” prints a configuration to begin with.")]));
}

function arrow(link) {
  const from = modules.get(link.from);
  const to = modules.get(link.to);
  if (!from?.running || !to?.running) {
    return { kind: "down", label: "" };
  }
  const at = from.outputs.findIndex((ifc) => `${ifc.kind}:${ifc.id}` === link.over);
  const { rate, dropRate } = at < 0 ? {} : rateOf(from, "out", at);
  const kind = dropRate > 0 ? "dropping" : rate > 0 ? "flowing" : "idle";
  return { kind, label: rate > 0 ? short(rate) : "" };
}

function arrows() {
  draw(byId("arrows"), byId("graph"), boxes, links, arrow);
}

function show() {
  arrange();
  for (const [name, box] of boxes) {
    refresh(box, modules.get(name));
  }
  arrows();
}

/** Tells those who listen what is not as it was. */
function tell(module) {
  const last = modules.get(module.name);
  const word = stateOf(module).word;
  if (last && (stateOf(last).word !== word || (last.pid !== module.pid && module.running))) {
    say(`${module.name} is ${word}${module.running ? ` as process ${module.pid}` : ""}.`);
  }
}

function showProbes(probes) {
  byId("probes-part").hidden = probes.length === 0;
  byId("probes").replaceChildren(...probes.map((probe) => {
    const off = Object.values(probe.imbalance).some((n) => n !== 0);
    const dropped = Object.entries(probe.counters).filter(([name]) => /^(capture|packets)\.dropped\./.test(name)).reduce((sum, [, n]) => sum + n, 0);
    return el("article", { class: `tile ${probe.alive ? "ok" : "off"}` },
      el("header", {}, el("h3", {}, probe.name), el("span", { class: "badge" }, probe.alive ? "running" : "ended")),
      el("dl", { class: "facts" },
        fact("Packets", short(probe.counters["packets.taken"] ?? 0)), fact("Dropped", short(dropped), dropped > 0 ? "warn" : ""),
        fact("Live flows", short(probe.counters["flows.live"] ?? 0)), fact("Books", off ? "do not balance" : "balance", off ? "bad" : "")));
  }));
}

async function look() {
  const [status, all, of, met, probes] = await Promise.all(["/v1/status", "/v1/modules", "/v1/profiles", "/v1/links", "/v1/probes"].map(get));
  const now = performance.now();
  profiles = of;
  links = met;
  const names = new Set(all.map((module) => module.name));
  [...modules.keys()].filter((name) => !names.has(name)).forEach((name) => modules.delete(name));
  for (const module of all) {
    tell(module);
    measure(module, now);
    modules.set(module.name, module);
  }
  const { health, processes } = status;
  const word = health.healthy ? "All is well" : [health.down && `${health.down} down`, health.parked && `${health.parked} given up`].filter(Boolean).join(", ");
  byId("summary").replaceChildren(
    el("b", { class: `badge ${health.healthy ? "ok" : "bad"}` }, word),
    ` ${status.running} of ${status.modules} modules run · since ${status.started} · ${whole(processes.started + processes.adopted)} processes begun, ${whole(processes.killed + processes.gone)} killed · Sonda ${status.version}`);
  show();
  showProbes(probes);
}

/** What changes is shown at once; a connection that breaks is made anew by the browser, one that is refused by us. */
function watch() {
  events?.close();
  events = null;
  // A page that nobody sees takes no place from others.
  if (document.hidden) {
    return;
  }
  events = new EventSource("/v1/events");
  events.addEventListener("module", (event) => {
    const module = JSON.parse(event.data);
    tell(module);
    modules.set(module.name, module);
    if (boxes.has(module.name)) {
      refresh(boxes.get(module.name), module);
      arrows();
    }
  });
  events.addEventListener("removed", () => looks.now());
  events.addEventListener("missed", () => looks.now());
  events.addEventListener("error", ({ target }) => {
    if (target.readyState === EventSource.CLOSED) {
      setTimeout(watch, WATCH_AGAIN_MS);
    }
  });
}

let events = null;
let looks;
const allowed = await begin();
if (allowed) {
  may = allowed;
  looks = repeat(LOOK_MS, look);
  watch();
  document.addEventListener("visibilitychange", watch);
  new ResizeObserver(arrows).observe(byId("graph"));
}
