// Elements and formats. What comes from a user (names of workloads, runs, metrics) only ever becomes text nodes and
// attribute values here: nothing on this page is parsed as HTML.

/** h("a", {href: "/", onclick: f}, "text", element, …): an element; properties that are null are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const count = (n) => n.toLocaleString("en-US");
export const plural = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

/** A measured value in at most five digits, as people write it. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(3).replace("e+", "e");
  if (Number.isInteger(value)) return count(value);
  return String(Number(value.toPrecision(5)));
}

/** A tick on an axis whose ticks are `increment` apart. */
export function tick(value, increment) {
  const size = Math.abs(value);
  if (size >= 1e15 || (size !== 0 && increment < 1e-4)) return value.toExponential(1).replace("e+", "e");
  for (const [unit, sign] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit && (unit > 1e3 || size >= 1e4)) return Number((value / unit).toPrecision(6)) + sign;
  }
  let digits = 0;
  while (digits < 6 && Math.abs(increment * 10 ** digits - Math.round(increment * 10 ** digits)) > 1e-6) digits += 1;
  return value.toFixed(digits);
}

/** Seconds as 4 s, 3 m 20 s, 2 h 5 m, 3 d 4 h. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const first = units.findIndex(([unit]) => whole >= unit);
  if (first < 0) return "0 s";
  const [unit, sign] = units[first];
  const rest = first + 1 < units.length ? Math.floor((whole % unit) / units[first + 1][0]) : 0;
  return `${Math.floor(whole / unit)} ${sign}${rest ? ` ${rest} ${units[first + 1][1]}` : ""}`;
}

export function clock(ms) {
  if (ms === null || ms === undefined) return "–";
  const pad = (n) => String(n).padStart(2, "0");
  const at = new Date(ms);
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

export const ago = (ms, now) => (ms === null ? "–" : now - ms < 1500 ? "just now" : `${duration((now - ms) / 1000)} ago`);
export const isLive = (lastTime, now) => lastTime !== null && now - lastTime < 60_000;

/** A box that says what to do where there is nothing to see; `command` can be copied. */
export function empty(title, text, command = null) {
  const copy = h("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(command);
    copy.textContent = "Copied";
  });
  return h("section", { class: "empty" }, h("h2", {}, title), h("p", {}, text),
    command && h("div", { class: "command" }, h("pre", {}, h("code", {}, command)), copy));
}
