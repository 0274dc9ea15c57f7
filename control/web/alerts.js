// The alerts page: how many of which category when, a list that is filtered, and one alert in full.

import { explain, get, notice, part, post, repeat, tell } from "/web/api.js";
import { chart, greatest } from "/web/chart.js";
import { byId, el, say, setText } from "/web/dom.js";
import { flowsOf } from "/web/flows.js";
import { ends, list, some } from "/web/idea.js";
import { begin } from "/web/session.js";
import { moment, short, whole } from "/web/text.js";

const LOOK_MS = 10_000;
/** Alerts that are fetched for the list; a filter finds those before. The chart counts all. */
const FETCHED_MAX = 1_000;
const SHOWN_AT_ONCE = 50;

const form = byId("filter");
const timeline = chart("Alerts by category", "No alert like that.");
let found = [];
let shownMax = SHOWN_AT_ONCE;
let may = () => false;
let looks;

const seconds = (text) => (text ? Date.parse(text) / 1000 : null);
const detectedOf = (entry) => seconds(entry.detected) ?? 0;
const categoryOf = (entry) => list(entry.document?.Category).join(", ") || "none";

/** The filter, as the API takes it. */
function asked() {
  const fields = new FormData(form);
  const query = new URLSearchParams();
  const span = fields.get("span");
  if (span === "own") {
    for (const name of ["from", "until"]) {
      if (fields.get(name)) {
        query.set(name, new Date(fields.get(name)).toISOString());
      }
    }
  } else if (span) {
    query.set("from", new Date(Date.now() - Number(span) * 1000).toISOString());
  }
  for (const name of ["category", "address", "node", "state"]) {
    const value = fields.get(name).trim();
    if (value) {
      query.set(name, value);
    }
  }
  return query;
}

/** The filter in the address of the page, so that it can be handed on. */
function remember() {
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", `${location.pathname}?${query}${location.hash}`);
}

function recall() {
  const query = new URLSearchParams(location.search);
  for (const element of form.elements) {
    if (element.name && query.size > 0) {
      element.value = query.get(element.name) ?? "";
    }
  }
  offerTimes();
}

function offerTimes() {
  const isOwn = byId("span").value === "own";
  document.querySelectorAll(".own").forEach((field) => (field.hidden = !isOwn));
}

function showChart(told) {
  const series = told.categories.map(({ category, alerts }) => ({ name: category || "none", values: alerts }));
  timeline.update({ from: seconds(told.from), step: told.step_s, series: series.length ? greatest(series) : [], mode: "bars", format: short });
}

function row(entry) {
  const { document: message, number } = entry;
  const isChosen = location.hash === `#${number}`;
  return el("tr", { class: `${entry.state}${isChosen ? " chosen" : ""}`, "data-alert": number },
    el("th", { scope: "row" }, el("a", { href: `#${number}`, "aria-label": `alert ${number}`, "aria-current": isChosen ? "true" : null }, number)),
    el("td", { class: "when" }, ...moment(detectedOf(entry)).split(" ").flatMap((piece) => [el("span", {}, piece), " "])), el("td", {}, categoryOf(entry)), el("td", {}, some(ends(message?.Source), 2)),
    el("td", {}, some(ends(message?.Target), 2)), el("td", {}, message?.Description ?? ""), el("td", {}, el("span", { class: `badge ${entry.state === "new" ? "warn" : ""}` }, entry.state)));
}

function showList() {
  const heads = ["Alert", "Detected", "Category", "Source", "Target", "Description", "State"];
  const rows = found.slice(0, shownMax).map(row);
  const more = found.length > shownMax ? el("button", { type: "button", onclick: showMore }, `Show ${Math.min(SHOWN_AT_ONCE, found.length - shownMax)} more`) : null;
  const hadFocus = document.activeElement?.closest?.("[data-alert]")?.dataset.alert;
  byId("list").replaceChildren(
    rows.length === 0 ? el("p", { class: "empty" }, "No alert like that. A longer time or fewer conditions find more.")
      : el("table", {}, el("caption", { class: "unseen" }, "Alerts, the newest first"), el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, ...rows)),
    el("div", { class: "page" }, more ?? ""));
  if (hadFocus) {
    document.querySelector(`[data-alert="${hadFocus}"] a`)?.focus();
  }
}

function showMore() {
  const at = shownMax;
  shownMax += SHOWN_AT_ONCE;
  showList();
  document.querySelectorAll("#list tbody tr")[at]?.querySelector("a")?.focus();
}

async function look() {
  const query = asked();
  const counted = get(`/v1/alerts/timeline?${query}`);
  query.set("limit", FETCHED_MAX);
  const [told, counts] = await Promise.all([get(`/v1/alerts?${query}`), counted]);
  found = told.alerts;
  const fresh = found.filter((entry) => entry.state === "new").length;
  const cut = told.found > found.length ? ` · the newest ${whole(found.length)} of ${whole(told.found)}` : "";
  setText(byId("summary"), `${whole(told.found)} found, ${whole(fresh)} new${cut}`);
  byId("categories").replaceChildren(...[...new Set(found.flatMap((entry) => list(entry.document?.Category)))].sort().map((value) => el("option", { value })));
  showChart(counts);
  showList();
}

function pair(name, value) {
  return value === null || value === "" || value === "–" ? [] : [el("dt", {}, name), el("dd", {}, value)];
}

async function change(entry) {
  const verb = entry.state === "new" ? "acknowledge" : "reopen";
  try {
    await post(`/v1/alerts/${part(entry.number)}/${verb}`);
    notice(null);
    say(`Alert ${entry.number} is ${verb === "acknowledge" ? "acknowledged" : "new again"}.`);
    await Promise.all([open(false), looks.now()]);
  } catch (why) {
    explain(why);
  }
}

async function write(entry, form) {
  const text = form.elements.text.value.trim();
  try {
    if (text) {
      await tell(`/v1/alerts/${part(entry.number)}/notes`, { text });
      notice(null);
      say("The note is kept.");
      await open(false);
    }
  } catch (why) {
    explain(why);
  }
}

/** Notes on an alert, and for operators a place for another one. */
function notesOf(entry, notes) {
  const written = notes.map((note) => el("li", {}, el("b", {}, note.by), ` ${moment(seconds(note.at))}: ${note.text}`));
  const field = el("input", { id: "note", name: "text", maxlength: 1000, autocomplete: "off" });
  const form = el("form", { class: "note", onsubmit: (event) => {
    event.preventDefault();
    write(entry, form);
  } }, el("label", { for: "note" }, "A note"), field, el("button", { type: "submit" }, "Keep"));
  return [written.length ? el("ul", { "aria-label": "Notes" }, ...written) : "", may("operator") ? form : ""];
}

function showDetail({ alert: entry, notes }) {
  const alert = entry.document ?? {};
  const node = list(alert.Node).map((one) => [one.Name, list(one.SW).join(", ")].filter(Boolean).join(" · ")).join("; ");
  const state = entry.changed ? `${entry.state}, by ${entry.changed_by}, ${moment(seconds(entry.changed))}` : entry.state;
  const action = may("operator") ? el("button", { type: "button", class: entry.state === "new" ? "primary" : "", id: "change", onclick: () => change(entry) }, entry.state === "new" ? "Acknowledge" : "Make it new again") : null;
  byId("detail").replaceChildren(
    el("header", {}, el("h2", { id: "detail-title", tabindex: "-1" }, `Alert ${entry.number}: ${categoryOf(entry)}`), el("button", { type: "button", "aria-label": "Close the alert", onclick: close }, "✕")),
    el("p", {}, alert.Description ?? ""), alert.Note ? el("p", { class: "muted" }, alert.Note) : "",
    el("dl", {}, pair("Detected", moment(detectedOf(entry))), pair("State", state), pair("Detector", node), pair("ID", alert.ID ?? "")),
    action ?? "", ...notesOf(entry, notes),
    flowsOf(entry),
    el("details", {}, el("summary", {}, "The whole message"), el("pre", { tabindex: "0" }, JSON.stringify(entry.document, null, 2))));
}

/** Shows the alert that the page's address names. */
async function open(isNew = true) {
  const number = /^#(\d+)$/.exec(location.hash)?.[1];
  byId("detail").hidden = !number;
  byId("columns").classList.toggle("alone", !number);
  showList();
  if (!number) {
    return;
  }
  try {
    showDetail(await get(`/v1/alerts/${part(number)}`));
    (isNew ? byId("detail-title") : byId("change"))?.focus();
  } catch (why) {
    explain(why);
    byId("detail").hidden = true;
    byId("columns").classList.add("alone");
  }
}

function close() {
  const number = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
  open();
  document.querySelector(`[data-alert="${number}"] a`)?.focus();
}

function search() {
  shownMax = SHOWN_AT_ONCE;
  remember();
  notice(null);
  looks.now();
}

const allowed = await begin();
if (allowed) {
  may = allowed;
  byId("chart").append(timeline.figure);
  recall();
  looks = repeat(LOOK_MS, look);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  form.addEventListener("reset", () => setTimeout(() => {
    offerTimes();
    search();
  }));
  byId("span").addEventListener("change", () => {
    offerTimes();
    if (byId("span").value !== "own") {
      search();
    }
  });
  byId("state").addEventListener("change", search);
  addEventListener("hashchange", () => open());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("detail").hidden) {
      close();
    }
  });
  if (location.hash) {
    open();
  }
}
