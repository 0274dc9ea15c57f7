// The flows that caused an alert: what its detector said of them, and those themselves where they are stored on the box.

import { explain, get, part } from "/web/api.js";
import { byId, el, say, table } from "/web/dom.js";
import { ends, ports, protocols, some } from "/web/idea.js";
import { bytes, clock, moment, protocol, whole } from "/web/text.js";

/** Flows that are asked for at first, and then. */
const LIMIT = 25;
const LIMIT_MAX = 1_000;
const HEADS = ["Began", "Lasted", "From and to", "Packets", "Bytes", "Flags"];

/** What is shown: notes and acknowledgements draw the alert again, but nothing is searched again for them. */
let shown = { number: null };

/** The section of an alert. */
export function flowsOf(entry) {
  const alert = entry.document ?? {};
  const counts = [["FlowCount", "flows"], ["ConnCount", "connections"], ["PacketCount", "packets"], ["ByteCount", "bytes"]]
    .filter(([key]) => alert[key] !== undefined).map(([key, word]) => `${whole(Number(alert[key]))} ${word}`);
  const when = [alert.EventTime ?? alert.WinStartTime, alert.CeaseTime ?? alert.WinEndTime].filter(Boolean).map((text) => moment(Date.parse(text) / 1000)).join(" to ");
  const facts = [["How many", counts.join(", ")], ["When", when],
    ["From", some(ends(alert.Source), 12)], ["From ports", some(ports(alert.Source).map(String), 12)],
    ["To", some(ends(alert.Target), 12)], ["To ports", some(ports(alert.Target).map(String), 12)], ["Protocols", some(protocols(alert.Source, alert.Target), 8)]];
  if (shown.number !== entry.number) {
    shown = { number: entry.number, answers: false, limit: LIMIT, told: null };
    search();
  }
  return el("section", { "aria-labelledby": "flows-title" },
    el("h3", { id: "flows-title" }, "The flows that caused it"),
    el("dl", {}, facts.filter(([, value]) => value && value !== "–").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    el("div", { id: "flows" }, ...found()));
}

/** Asks the box for the flows of the alert that is shown. */
async function search() {
  const asked = shown;
  try {
    asked.told = await get(`/v1/alerts/${part(asked.number)}/flows?answers=${asked.answers}&limit=${asked.limit}`);
  } catch (why) {
    explain(why);
    asked.told = null;
  }
  // Another alert may be open by now.
  if (asked === shown) {
    byId("flows")?.replaceChildren(...found());
    if (asked.told?.flows.length) {
      say(`${whole(asked.told.found)} flows are stored for alert ${asked.number}.`);
    }
  }
}

function again(change) {
  shown = { ...shown, ...change };
  search();
}

function found() {
  const { told, answers, limit } = shown;
  if (!told) {
    return [el("p", { class: "muted" }, "Looking for stored flows …")];
  }
  const collector = told.filter ? el("p", { class: "muted" }, told.stored ? "The same by nfdump: " : "At a collector: ", el("code", {}, `nfdump '${told.filter}'`)) : "";
  if (!told.stored) {
    return [el("p", { class: "muted" }, `No flows are stored on this box: there is no folder ${told.folder}.`), collector];
  }
  if (!told.filter) {
    return [el("p", { class: "muted" }, "The alert names no address and no port to look for.")];
  }
  const box = el("input", { type: "checkbox", id: "answers", checked: answers, onchange: () => again({ answers: !answers }) });
  const more = told.found > told.flows.length && limit < LIMIT_MAX
    ? el("button", { type: "button", onclick: () => again({ limit: LIMIT_MAX }) }, `Show ${whole(Math.min(told.found, LIMIT_MAX))}`) : "";
  return [el("p", {}, summary(told)), el("p", {}, el("label", {}, box, " with the answers")),
    told.flows.length ? el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "Flows" }, table("Flows, the earliest first", HEADS, told.flows.map((flow) => row(flow, isOneDay(told.flows))), { class: "flows" })) : "",
    more, ...told.faults.map((fault) => el("p", { class: "warn" }, fault)), collector];
}

function summary({ found: all, flows, files, from, until, complete, left_out: leftOut }) {
  const cut = flows.length < all ? `, the first ${whole(flows.length)} of them` : "";
  const times = [from, until].map((text) => moment(Date.parse(text) / 1000)).join(" to ");
  return `${whole(all)} stored${cut}: ${times}, out of ${whole(files)} ${files === 1 ? "file" : "files"}.`
    + (complete ? "" : " The search took too long and was ended: there may be more.") + (leftOut ? ` ${whole(leftOut)} addresses or ports were too many to look for.` : "");
}

function isOneDay(flows) {
  return new Set(flows.map((flow) => new Date(flow.first).toDateString())).size === 1;
}

function row(flow, isOfOneDay) {
  const [first, last] = [flow.first, flow.last].map((text) => Date.parse(text) / 1000);
  const end = (address, port) => (port ? (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`) : address);
  const both = (there, back, write) => (back ? `${write(there)} / ${write(back)}` : write(there));
  // The summary above has the day.
  return [isOfOneDay ? clock(first, 1) : moment(first), `${(last - first).toFixed(3)} s`,
    [el("span", {}, `${protocol(flow.protocol)} ${end(flow.source, flow.source_port)}`), " ", el("span", {}, `→ ${end(flow.destination, flow.destination_port)}`)],
    both(flow.packets, flow.packets_back, whole), both(flow.bytes, flow.bytes_back, bytes), flow.protocol === 6 ? flow.tcp_flags : ""];
}
