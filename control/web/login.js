// A token becomes a session: a cookie that scripts cannot read.

import { post, Refused } from "/web/api.js";
import { byId, setText } from "/web/dom.js";

/** Where to go after it: a page of this box and nowhere else. */
function target() {
  const asked = new URLSearchParams(location.search).get("to") ?? "/";
  const there = new URL(asked, location.origin);
  return there.origin === location.origin && there.pathname !== "/login" ? there.pathname + there.search + there.hash : "/";
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = byId("token");
  const said = byId("login-said");
  setText(said, "");
  try {
    await post("/v1/login", { Authorization: `Bearer ${field.value.trim()}` });
    location.assign(target());
  } catch (why) {
    if (!(why instanceof Refused)) {
      // What is no token cannot even be a header.
      setText(said, "This is no token: it has letters, digits and _ only.");
    } else if (why.status === 401) {
      setText(said, "This token is not known, has expired or was revoked. An administrator sees all with “sonda ctl token list”.");
    } else {
      setText(said, why.message);
    }
    field.select();
  }
});
byId("token").focus();
