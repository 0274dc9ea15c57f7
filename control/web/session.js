// Who looks at the page and what he may; the head that all pages have.

import { explain, get, notice, post, Refused } from "/web/api.js";
import { byId, el } from "/web/dom.js";

const ROLES = ["anyone", "viewer", "operator", "admin"];

/** Asks who looks, and shows it. Answers a function that says whether he may what a role may; `null` where nobody has logged in. */
export async function begin() {
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.getAttribute("href") === location.pathname) {
      link.setAttribute("aria-current", "page");
    }
  }
  let me;
  try {
    me = await get("/v1/self");
  } catch (why) {
    if (why instanceof Refused && why.status === 401) {
      const here = location.pathname + location.search + location.hash;
      location.replace(`/login?to=${encodeURIComponent(here)}`);
    } else {
      explain(why);
      // The box may begin just now.
      setTimeout(() => location.reload(), 5_000);
    }
    return null;
  }
  const leave = el("button", { type: "button", onclick: logOut }, "Log out");
  byId("who").replaceChildren(el("span", {}, me.name ? `${me.name} · ` : "", el("b", {}, me.role)), leave);
  return (role) => ROLES.indexOf(me.role) >= ROLES.indexOf(role);
}

async function logOut() {
  try {
    await post("/v1/logout");
    location.assign("/login");
  } catch (why) {
    if (why instanceof Refused && why.status === 401) {
      location.assign("/login");
    } else {
      notice(why.message);
    }
  }
}
