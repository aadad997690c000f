// What the user looks at, as the address says it: a reload or a shared link shows the same.

export const TABS = ["metrics", "framework", "system", "runs"];
export const X_AXES = { step: "Step", relative: "Relative time", time: "Wall time" };
const SHOWN_AT_FIRST = 10;

export const state = {};

export function readAddress() {
  const query = new URLSearchParams(location.search);
  const smoothing = Number(query.get("smoothing") ?? 0);
  Object.assign(state, {
    workload: query.get("workload"),
    tab: TABS.includes(query.get("tab")) ? query.get("tab") : "metrics",
    search: query.get("search") ?? "",
    x: query.get("x") in X_AXES ? query.get("x") : "step",
    smoothing: smoothing > 0 && smoothing < 1 ? smoothing : 0,
    source: query.get("source") ?? "",
    choices: new Map([
      ...query.getAll("hide").map((run) => [run, false]),
      ...query.getAll("show").map((run) => [run, true]),
    ]),
  });
}

export function address(changes = {}) {
  const next = { ...state, ...changes };
  const query = new URLSearchParams();
  if (next.workload !== null) {
    query.set("workload", next.workload);
    if (next.tab !== "metrics") query.set("tab", next.tab);
    for (const name of ["search", "source"]) if (next[name]) query.set(name, next[name]);
    if (next.x !== "step") query.set("x", next.x);
    if (next.smoothing) query.set("smoothing", next.smoothing);
    for (const [run, isShown] of next.choices) query.append(isShown ? "show" : "hide", run);
  }
  return query.size ? `/?${query}` : "/";
}

/** Takes changes over; a new page in the history only where the user would want to go back to. */
export function change(changes, isNewPage = false) {
  Object.assign(state, changes);
  history[isNewPage ? "pushState" : "replaceState"](null, "", address());
}

/** The ids of the runs to draw: the user's choice, or else the newest. */
export function shownRuns(runs) {
  const newest = new Set(runs.slice(-SHOWN_AT_FIRST).map((run) => run.run));
  return runs.map((run) => run.run).filter((run) => state.choices.get(run) ?? newest.has(run));
}
