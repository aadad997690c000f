// The list of workloads, and the tabs Runs and Framework.

import { h, ago, clock, count, duration, empty, isLive, number, plural } from "./dom.js";
import { color, runLabel } from "./charts.js";
import { address } from "./state.js";

const SHOWN_METRICS = 8;

export function noWorkloads() {
  return empty("No workload yet", "Install the exporter where the training runs, set two variables, and start it as always:",
    `pip install primus-lens-wandb-exporter\nexport WORKLOAD_UID=my-training\n` +
    `export PRIMUS_LENS_API_BASE_URL=${location.origin}/api/v1\npython train.py`);
}

export function workloadList(workloads) {
  if (!workloads.length) return noWorkloads();
  const now = Date.now();
  const row = (item) => h("tr", {},
    h("th", { scope: "row" }, h("a", { href: address({ workload: item.workload_uid, tab: "metrics", search: "", source: "", choices: new Map() }) },
      item.workload_uid || "(no uid)")),
    h("td", {}, isLive(item.last_time, now) ? h("span", { class: "live" }, "live") : ""),
    h("td", { class: "n" }, count(item.run_count)), h("td", { class: "n" }, count(item.step_count)),
    h("td", {}, clock(item.first_time)), h("td", {}, ago(item.last_time, now)));
  return h("section", { class: "page" }, h("h1", {}, "Workloads"),
    table(["Workload", "", "#Runs", "#Steps", "First point", "Last point"], workloads.map(row)));
}

/** The metrics that most runs have, those of training and validation first. */
export function mainMetrics(runs) {
  const score = (name) => (/loss|acc/.test(name) ? 0 : 1) + (/^(train|val|eval)/.test(name) ? 0 : 2);
  const names = [...new Set(runs.flatMap((run) => run.metrics))].filter((name) => !name.startsWith("_primus_"));
  return names.sort((a, b) => score(a) - score(b) || a.localeCompare(b)).slice(0, SHOWN_METRICS);
}

/** `summaries`: run -> [[name, value, step, time]], of those that are open; `toggle(run)` opens or closes one. */
export function runTable(runs, metrics, values, summaries, toggle, now) {
  if (!runs.length) return empty("No runs yet", "A run appears here with its first wandb.log call.");
  const headings = ["Run", "", "First point", "Last point", "#Duration", "#Steps", "#Last step", "#Points",
    ...metrics.map((name) => `#${name}`)];
  const row = (run, index) => {
    const { title, detail } = runLabel(run);
    const summary = summaries.get(run.run);
    const fold = run.summary > 0 && h("button", { type: "button", class: "fold", "data-run": run.run,
      "aria-expanded": String(Boolean(summary)), onclick: () => toggle(run.run) }, `Summary: ${plural(run.summary, "value")}`);
    return [h("tr", {},
      h("th", { scope: "row" }, h("i", { style: { background: `var(${color(index)})` } }), title,
        detail && h("small", {}, detail), fold),
      h("td", {}, isLive(run.last_time, now) ? h("span", { class: "live" }, "live") : ""),
      h("td", {}, clock(run.first_time)), h("td", {}, clock(run.last_time)),
      h("td", { class: "n" }, duration((run.last_time - run.first_time) / 1000)),
      h("td", { class: "n" }, count(run.steps)), h("td", { class: "n" }, count(run.last_step)),
      h("td", { class: "n" }, count(run.points)),
      ...metrics.map((name) => h("td", { class: "n" }, number(values[run.run]?.[name])))),
    summary && h("tr", { class: "summary" }, h("td", { colspan: headings.length }, h("dl", {}, summary.map(summaryValue))))];
  };
  return h("section", { class: "page" }, table(headings, runs.map(row).reverse().flat()));
}

function summaryValue([name, value, step, time]) {
  return h("div", { title: `${value}, set at step ${count(step)}, ${clock(time)}` }, h("dt", {}, name), h("dd", {}, number(value)));
}

export function frameworkView(found) {
  if (!found.count) {
    return empty("No framework detected", "The exporter reports frameworks, hardware and software when a run starts. " +
      "Nothing came for this workload: is the exporter older than its detection, or is the run from another sender?");
  }
  const { evidence, hints } = found;
  const layer = (title, name, entries) => h("div", {}, h("dt", {}, title), h("dd", {}, name ?? hints[`${entries}s`]?.[0] ?? "none", " ",
    h("small", {}, [shown(evidence[`${entries}s`]?.[name]?.version ?? ""), !name && hints[`${entries}s`]?.[0] && "a guess"].filter(Boolean).join(" "))));
  const { packages, ...software } = evidence.software ?? {};
  const { config, ...wandb } = evidence.wandb ?? {};
  const { detected_modules: modules, ...pytorch } = evidence.pytorch ?? {};
  return h("section", { class: "page" },
    h("dl", { class: "headline" },
      layer("Wrapper", found.wrapper_framework, "wrapper_framework"), layer("Base", found.base_framework, "base_framework"),
      h("div", {}, h("dt", {}, "Confidence"), h("dd", {}, hints.confidence || "–")),
      h("div", {}, h("dt", {}, "Reports"), h("dd", {}, count(found.count), " ", h("small", {}, `last ${clock(found.last_time)}`)))),
    hints.primary_indicators?.length ? h("p", { class: "indicators" }, "Because of ", ...hints.primary_indicators.map((text) => h("code", {}, text))) : null,
    h("div", { class: "facts" },
      facts("Hardware", evidence.hardware), facts("PyTorch", pytorch), facts("Run", wandb), facts("System", evidence.system),
      facts("Software", software), facts("Build", evidence.build), facts("Configuration", config),
      facts("Environment", evidence.environment), facts("Packages", packages),
      facts("Frameworks loaded", Object.fromEntries(Object.entries(modules ?? {}).filter(([, isLoaded]) => isLoaded)))),
    h("details", { class: "raw" }, h("summary", {}, "The reports as merged JSON"), h("pre", {}, JSON.stringify({ evidence, hints }, null, 2))));
}

/** Names and values; nothing for what is not known. */
function facts(title, values) {
  const known = Object.entries(values ?? {}).filter(([, value]) => value !== null && value !== 0 && !["", "[]"].includes(shown(value)));
  if (!known.length) return null;
  return h("section", {}, h("h2", {}, title, h("span", {}, plural(known.length, "entry").replace("entrys", "entries"))),
    h("dl", {}, known.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, shown(value))))));
}

/** What a report holds, as text: it may be anything, objects with a toString of their own among it. */
function shown(value) {
  return value === true ? "yes" : value === false ? "no" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Headings that begin with # are of numbers. */
function table(headings, rows) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, h("table", {},
    h("thead", {}, h("tr", {}, headings.map((text) => text.startsWith("#")
      ? h("th", { scope: "col", class: "n" }, text.slice(1)) : h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.filter(Boolean))));
}
