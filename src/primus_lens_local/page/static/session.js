// The session of a browser that gave a token: its key, and the way out. A server without a token knows no sessions.

import { h } from "./dom.js";

const STORED = "primus-lens-page-key";

function pageKey() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null; // storage is off in this browser: the server will ask for its token
  }
}

/** The headers that say that this server's own page asks: the cookie alone could come from another port's. */
export function sessionHeaders() {
  const key = pageKey();
  return key ? { "X-Primus-Lens-Page-Key": key } : {};
}

/** Where to give the token, and be back here. */
export const loginAddress = () => `/login${location.search}`;

/** `session`: the right it has, null without a session. */
export function showLogOut(session) {
  if (!session || document.getElementById("logout")) return;
  const button = h("button", { type: "button", id: "logout", onclick: logOut }, "Log out");
  document.querySelector(".bar").append(session === "read" ? h("span", { class: "readonly" }, "read-only") : "", button);
}

async function logOut() {
  await fetch("/logout", { method: "POST", headers: sessionHeaders() });
  localStorage.removeItem(STORED);
  location.assign("/login");
}
