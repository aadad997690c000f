// The page: which view there is, and the loop that keeps it fresh.

import { h, ago, empty, isLive, plural } from "./dom.js";
import { Charts } from "./charts.js";
import { Live, LoggedOutError, ask } from "./live.js";
import { loginAddress, showLogOut } from "./session.js";
import { TABS, address, change, readAddress, shownRuns, state } from "./state.js";
import { frameworkView, mainMetrics, runTable, workloadList } from "./tables.js";

const POLL_MS = 250;
const SLOW_POLL_MS = 2000;
const main = document.getElementById("main");
const status = document.getElementById("status");
let about = null; // what the server says of this page; null until it answered
let live = null;
let view = null; // {element, update, wanted?, destroy?}
let timer = 0;
let isPolling = false;
let isWanted = false;

function open() {
  readAddress();
  view?.destroy?.();
  view = null;
  if (!live || live.workload !== state.workload) live = state.workload === null ? null : new Live(state.workload, state.source);
  document.title = state.workload === null ? "Primus Lens" : `${state.workload} · Primus Lens`;
  document.getElementById("crumbs").replaceChildren(
    ...(state.workload === null ? [] : [h("a", { href: "/" }, "Workloads"), h("span", { class: "here" }, state.workload || "(no uid)")]));
  if (live) openWorkload();
  else view = { element: h("div"), update: async () => view.element.replaceChildren(workloadList((await ask("workloads")).workloads)) };
  main.replaceChildren(...(live ? [tabs(), view.element] : [view.element]));
  poll();
}

function openWorkload() {
  if (state.tab === "metrics" || state.tab === "system") {
    const charts = new Charts(live, state.tab === "system", poll);
    view = { element: charts.element, wanted: () => charts.wanted(), destroy: () => charts.destroy(),
      update: (news) => charts.update(news.changed, news.about.charts_off) };
  } else if (state.tab === "runs") {
    view = { element: h("div"), update: showRuns };
  } else {
    view = { element: h("div"), update: showFramework };
  }
}

async function showRuns({ overview, isFirst }) {
  if (!overview && !isFirst && !view.isToggled) return;
  const shown = view;
  const runs = live.runs.filter((run) => run.source === live.source);
  const metrics = mainMetrics(runs);
  // The newest summary is open until the user chooses.
  const open = shown.open ?? new Set(runs.filter((run) => run.summary).slice(-1).map((run) => run.run));
  const toggle = (run) => {
    shown.open ??= open;
    if (!shown.open.delete(run)) shown.open.add(run);
    shown.isToggled = true;
    poll();
  };
  shown.isToggled = false;
  const asked = { workload: live.workload, source: live.source };
  const [{ values }, { summaries }] = await Promise.all([
    ask("last-values", { ...asked, run: runs.map((run) => run.run), metric: metrics }),
    open.size ? ask("summaries", { ...asked, run: [...open] }) : { summaries: {} },
  ]);
  if (view !== shown) return;
  const focused = document.activeElement?.dataset.run;
  shown.element.replaceChildren(runTable(runs, metrics, values, new Map(Object.entries(summaries)), toggle, live.now));
  for (const button of shown.element.querySelectorAll("button.fold")) if (button.dataset.run === focused) button.focus();
}

async function showFramework({ overview, isFirst }) {
  if (!overview && !isFirst) return;
  const isOpen = view.element.querySelector(".raw")?.open;
  const found = await ask("framework", { workload: live.workload });
  if (state.tab !== "framework" || found.last_time === view.lastTime) return;
  view.lastTime = found.last_time;
  view.element.replaceChildren(frameworkView(found));
  if (isOpen) view.element.querySelector(".raw").open = true;
}

function tabs() {
  const names = { metrics: "Metrics", framework: "Framework", system: "System", runs: "Runs" };
  const links = TABS.map((tab) => h("a", { href: address({ tab, search: "" }), "aria-current": tab === state.tab ? "page" : null }, names[tab]));
  const source = h("select", { id: "source", onchange: (event) => {
    change({ source: event.target.value });
    live = null;
    open();
  } });
  return h("div", { class: "tabs" }, h("nav", { "aria-label": "Tabs" }, links), h("label", {}, "Data source ", source));
}

/** The sources that the runs came from; wandb first, under the name that the guides use. */
function listSources() {
  const sources = [...new Set(live.runs.map((run) => run.source))].sort((a, b) => (b === "wandb") - (a === "wandb") || a.localeCompare(b));
  const select = document.getElementById("source");
  const listed = sources.length ? sources : ["wandb"];
  if (!listed.includes(live.source)) live.source = listed[0];
  if ([...select.options].map((option) => option.value).join("\n") !== listed.join("\n")) {
    select.replaceChildren(...listed.map((value) => h("option", { value, selected: value === live.source }, value === "wandb" ? "WandB" : value)));
  }
}

/** Asks for news, shows them, and comes back; at most one at a time. */
async function poll() {
  clearTimeout(timer);
  if (isPolling) {
    isWanted = true;
    return;
  }
  isPolling = true;
  isWanted = false;
  let pause = state.workload === null ? SLOW_POLL_MS : POLL_MS;
  const [polled, current] = [view, live];
  try {
    if (!about) {
      about = await ask("about");
      showLogOut(about.session);
    }
    if (current) {
      const shown = current.runs ? shownRuns(current.runs.filter((run) => run.source === current.source)) : [];
      const news = await current.refresh(view.wanted?.() ?? [], shown);
      if (view === polled) {
        listSources();
        await view.update({ ...news, isFirst: !polled.isUpdated, about });
        polled.isUpdated = true;
      }
      if (!current.complete) pause = 0;
    } else {
      await view.update();
    }
    say(current);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    status.replaceChildren(error instanceof LoggedOutError ? h("a", { href: loginAddress() }, error.message) : error.message);
    status.className = "problem";
    pause = SLOW_POLL_MS;
  }
  isPolling = false;
  if (isWanted || view !== polled) pause = 0;
  // A page that nobody sees asks nothing; it catches up when it is looked at.
  if (!document.hidden) timer = setTimeout(poll, pause);
}

function say(current) {
  status.className = "";
  if (!current) {
    status.textContent = "";
    return;
  }
  const last = Math.max(...current.runs.map((run) => run.last_time));
  if (!current.runs.length) {
    status.textContent = "waiting for the first run";
    return;
  }
  status.className = isLive(last, current.now) ? "live" : "";
  status.textContent = current.complete ? `last point ${ago(last, current.now)}` : `reading ${plural(current.runs.length, "run")} …`;
}

addEventListener("popstate", open);
document.addEventListener("visibilitychange", () => document.hidden || poll());
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/']");
  if (!link || link.target || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.pathname !== "/") return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  open();
});
open();
