// The control API, as pages ask it: JSON over the same origin, with the session's cookie.

import { byId, el } from "/web/dom.js";

/** Why a request came to nothing: the status, 0 where nobody answered, and a message that says what to do. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const PATIENCE_MS = 20_000;

async function ask(method, path, headers, body) {
  let response;
  try {
    response = await fetch(path, { method, headers, body, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Refused(0, "The box does not answer. This page tries again by itself; look whether the supervisor runs and whether the network is up.");
  }
  let answer = null;
  try {
    answer = await response.json();
  } catch {
    // An answer without a body, or one that was cut; the status says what became of it.
  }
  if (!response.ok) {
    throw new Refused(response.status, answer?.error ?? answer?.text ?? `The box answers with status ${response.status}.`);
  }
  return answer;
}

/** Reads. */
export function get(path) {
  return ask("GET", path, {});
}

/** Changes something; the first header is what pages of other sites cannot send. */
export function post(path, headers = {}) {
  return ask("POST", path, { "X-Sonda-Csrf": "1", ...headers });
}

/** As `post`, with an object. */
export function tell(path, what) {
  return ask("POST", path, { "X-Sonda-Csrf": "1", "Content-Type": "application/json" }, JSON.stringify(what));
}

/** A part of a path. */
export const part = encodeURIComponent;

/** Shows what is wrong on top of the page; nothing takes it away. */
export function notice(message, ...more) {
  const place = byId("notice");
  if (!message) {
    place.hidden = true;
    place.replaceChildren();
  } else if (place.hidden || place.firstChild?.textContent !== message) {
    place.replaceChildren(el("span", {}, message), ...more);
    place.hidden = false;
  }
}

/** Says why a request came to nothing, and what to do. */
export function explain(why) {
  if (!(why instanceof Refused)) {
    throw why;
  }
  if (why.status === 401) {
    const here = location.pathname + location.search + location.hash;
    notice("Your session has ended, or you have not logged in. ", el("a", { href: `/login?to=${part(here)}` }, "Log in"));
  } else {
    notice(why.message);
  }
}

/** Does something now and every so often while the page is seen, until it is told to stop. What fails is explained and tried again. */
export function repeat(milliseconds, work) {
  let timer = null;
  let isAtWork = false;
  let isOver = false;
  let hasFailed = false;
  const turn = async () => {
    clearTimeout(timer);
    if (isAtWork || isOver || document.hidden) {
      return;
    }
    isAtWork = true;
    try {
      await work();
      if (hasFailed) {
        notice(null);
      }
      hasFailed = false;
    } catch (why) {
      hasFailed = true;
      explain(why);
    } finally {
      isAtWork = false;
      timer = setTimeout(turn, milliseconds);
    }
  };
  document.addEventListener("visibilitychange", turn);
  turn();
  const stop = () => {
    isOver = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", turn);
  };
  return { now: turn, stop };
}
