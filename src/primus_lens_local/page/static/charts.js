// The tabs Metrics and System: a card for each chart in groups, the runs beside them as the legend.

import { h, count, empty, isLive } from "./dom.js";
import { Card, canDraw } from "./card.js";
import { X_AXES, change, shownRuns, state } from "./state.js";

const COLORS = 10;
const DASHES = [null, [6, 3], [2, 3], [8, 3, 2, 3]];
const SYSTEM = /^_primus_(sys|gpu)_/;
const GPU = /^_primus_gpu_(\d+)_(.+)$/;
const MEASURES = {
  _primus_sys_cpu_percent: ["CPU", " %"], _primus_sys_memory_percent: ["Memory", " %"],
  util: ["GPU utilisation", " %"], mem_used_mb: ["GPU memory used", " MiB"], mem_percent: ["GPU memory", " %"],
  power_w: ["GPU power", " W"], temp_c: ["GPU temperature", " °C"],
};
const FIRST_GROUPS = ["train", "val", "valid", "validation", "eval", "test", "Host", "GPUs"];

export const color = (index) => `--c${index % COLORS}`;
const dash = (index) => DASHES[Math.floor(index / COLORS) % DASHES.length];
/** A run is known by wandb's name for it, its place in the job, or its id. */
export function runLabel(run) {
  const place = [run.node && `node ${run.node}`, run.rank && `rank ${run.rank}`].filter(Boolean).join(" · ");
  return { title: run.name || run.run || "(no run id)", detail: [run.name && run.run, place].filter(Boolean).join(" · ") };
}

export class Charts {
  constructor(live, isSystem, onSelection) {
    Object.assign(this, { live, isSystem, onSelection, cards: new Map(), visible: new Set(), layout: "", runList: "" });
    this.watching = new IntersectionObserver((entries) => this.#watch(entries), { rootMargin: "200px" });
    this.legend = h("div", { class: "legend" });
    this.groups = h("div", { class: "groups" });
    this.off = h("div", {});
    const details = h("details", { class: "runs", open: innerWidth > 800 }, h("summary", {}, "Runs"), this.legend);
    this.element = h("div", {}, this.off, this.#controls(), h("div", { class: "split" }, details, this.groups));
    this.onTheme = () => this.#drawVisible(() => true);
    addEventListener("themechange", this.onTheme);
  }

  destroy() {
    removeEventListener("themechange", this.onTheme);
    this.watching.disconnect();
    for (const card of this.cards.values()) card.hide();
  }

  /** The metrics whose cards are on the screen. */
  wanted() {
    return [...new Set([...this.visible].flatMap((card) => card.spec.metrics))];
  }

  /** `changed`: the names of metrics with new values; `chartsOff`: why the server has no chart library, null if it has. */
  update(changed, chartsOff) {
    if (!canDraw() && !this.off.firstChild && chartsOff !== undefined) this.off.append(noCharts(chartsOff));
    this.runs = this.live.runs.filter((run) => run.source === this.live.source);
    this.shown = new Set(shownRuns(this.runs));
    this.#layOut();
    this.#listRuns();
    this.#drawVisible((card) => card.spec.metrics.some((metric) => changed.has(metric)));
  }

  #watch(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = this.cards.get(target.dataset.key);
      if (!card) continue;
      if (isIntersecting) {
        this.visible.add(card);
        card.show();
      } else {
        this.visible.delete(card);
        card.hide();
      }
    }
    this.onSelection(); // asks for what is not there yet
  }

  #drawVisible(isWanted) {
    for (const card of this.visible) if (isWanted(card)) card.draw();
  }

  /** The cards, in groups; touched only when the set of metrics or the search changes. */
  #layOut() {
    const names = [...new Set(this.runs.flatMap((run) => run.metrics))].filter((name) => SYSTEM.test(name) === this.isSystem);
    const search = state.search.toLowerCase();
    const specs = (this.isSystem ? systemSpecs(names) : names.map((name) => ({ title: name, unit: "", metrics: [name], group: groupOf(name) })))
      .filter((spec) => [spec.title, ...spec.metrics].some((text) => text.toLowerCase().includes(search)));
    const layout = JSON.stringify(specs);
    if (layout === this.layout) return;
    this.layout = layout;
    const groups = new Map();
    const kept = new Map();
    for (const spec of specs) {
      const key = JSON.stringify(spec);
      const card = this.cards.get(key) ?? this.#card(key, spec);
      kept.set(key, card);
      groups.set(spec.group, [...(groups.get(spec.group) ?? []), card]);
    }
    for (const [key, card] of this.cards) if (!kept.has(key)) this.#drop(card);
    this.cards = kept;
    for (const card of kept.values()) this.watching.observe(card.element);
    const order = [...groups.keys()].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
    this.groups.replaceChildren(...(order.length ? order.map((name) => group(name, groups.get(name))) : [this.#nothing(names)]));
    this.found.textContent = search ? `${count(specs.length)} found` : `${count(specs.length)} charts`;
  }

  #card(key, spec) {
    const card = new Card(spec, this.live, () => this.#lines(spec));
    card.element.dataset.key = key;
    return card;
  }

  #drop(card) {
    this.watching.unobserve(card.element);
    this.visible.delete(card);
    card.hide();
  }

  #lines(spec) {
    const isSingle = this.shown.size === 1;
    return this.runs.flatMap((run, index) => !this.shown.has(run.run) ? [] : spec.metrics.map((metric, number) => {
      const gpu = GPU.exec(metric)?.[1];
      const title = runLabel(run).title;
      const place = [run.node && `node ${run.node}`, run.rank && `rank ${run.rank}`].filter(Boolean).join(" ");
      const label = [title, this.isSystem && place, gpu && `GPU ${gpu}`].filter(Boolean).join(" · ");
      // GPUs of one run are told apart by colour, those of several by shades of their run's colour.
      const paint = gpu && isSingle ? { color: color(number), dash: dash(number) }
        : { color: color(index), dash: dash(index), alpha: 1 - (0.65 * number) / spec.metrics.length };
      return { metric, run: run.run, label, start: run.first_time, ...paint };
    }));
  }

  #listRuns() {
    const list = JSON.stringify([this.runs.map((run) => [run.run, run.name, run.node, run.rank, run.last_step,
      isLive(run.last_time, this.live.now)]), [...this.shown]]);
    if (list === this.runList) return;
    this.runList = list;
    const focused = document.activeElement?.dataset.run;
    const all = (isShown) => h("button", { type: "button",
      onclick: () => this.#choose(this.runs.map((run) => [run.run, isShown])) }, isShown ? "All" : "None");
    this.legend.replaceChildren(
      h("div", { class: "choose" }, h("span", {}, `${this.shown.size} of ${this.runs.length} shown`), all(true), all(false)),
      ...this.runs.map((run, index) => this.#runEntry(run, index)).reverse());
    for (const box of this.legend.querySelectorAll("input")) if (box.dataset.run === focused) box.focus();
  }

  #runEntry(run, index) {
    const { title, detail } = runLabel(run);
    const box = h("input", { type: "checkbox", checked: this.shown.has(run.run), "data-run": run.run,
      style: { "accent-color": `var(${color(index)})` },
      onchange: (event) => this.#choose([[run.run, event.target.checked]]) });
    return h("label", { title: `${title} ${detail}` }, box, h("i", { style: { background: `var(${color(index)})` } }),
      h("span", {}, title, detail && h("small", {}, detail)),
      h("em", { class: isLive(run.last_time, this.live.now) ? "live" : null }, count(run.last_step)));
  }

  #choose(choices) {
    change({ choices: new Map([...state.choices, ...choices]) });
    this.live.forgetMetrics();
    this.update(new Set());
    this.onTheme();
    this.onSelection();
  }

  #controls() {
    const redraw = (changes) => {
      change(changes);
      this.cards.forEach((card) => "x" in changes && (card.zoom = null, card.reset.hidden = true, card.fine.clear()));
      this.update(new Set());
      this.onTheme();
    };
    this.found = h("span", { class: "found" });
    const search = h("input", { type: "search", id: "search", placeholder: "Search metrics", "aria-label": "Search metrics",
      value: state.search, oninput: (event) => redraw({ search: event.target.value.trim() }) });
    const axis = h("select", { id: "x-axis", onchange: (event) => redraw({ x: event.target.value }) },
      ...Object.entries(X_AXES).map(([value, text]) => h("option", { value, selected: value === state.x }, text)));
    const shown = h("output", {}, state.smoothing.toFixed(2));
    const smoothing = h("input", { type: "range", id: "smoothing", min: 0, max: 0.99, step: 0.01, value: state.smoothing,
      oninput: (event) => { shown.textContent = Number(event.target.value).toFixed(2); redraw({ smoothing: Number(event.target.value) }); } });
    return h("div", { class: "controls" }, search, this.found,
      h("label", {}, "X axis ", axis), h("label", {}, "Smoothing ", smoothing, shown));
  }

  #nothing(names) {
    if (names.length) return empty("No metric has this in its name", `Nothing here contains “${state.search}”.`);
    if (!this.isSystem && this.runs.some((run) => run.summary)) {
      return empty("No metric with a curve", "What these runs sent so far are values of their summary: see the tab Runs.");
    }
    if (!this.isSystem) return empty("No metrics yet", "Charts appear here with the first wandb.log call of the job.");
    return empty("No system metrics", "The job sends CPU, memory and GPU figures with every wandb.log call when it is started with:",
      "export PRIMUS_LENS_WANDB_ENHANCE_METRICS=true");
  }
}

function noCharts(why) {
  if (!why) return empty("Charts are off", "This browser did not load the chart library. Reload the page; values and tables are right all the same.");
  return empty("Charts are off", `The server has no chart library that it trusts: ${why.problem}. Values and tables are right all the same. ` +
    "Install the library again where the server runs, and start the server again:", why.repair);
}

const groupOf = (name) => (name.includes("/") ? name.slice(0, name.indexOf("/")) || "/" : "metrics");
const rank = (name) => (FIRST_GROUPS.includes(name) ? FIRST_GROUPS.indexOf(name) : name === "metrics" ? 99 : 50);

function group(name, cards) {
  return h("details", { class: "group", open: true },
    h("summary", {}, h("h2", {}, name), h("span", {}, count(cards.length))),
    h("div", { class: "grid" }, ...cards.map((card) => card.element)));
}

/** One chart for a measure, with a line for each GPU. */
function systemSpecs(names) {
  const specs = new Map();
  const byGpu = (name) => Number(GPU.exec(name)?.[1] ?? 0);
  for (const name of names.sort((a, b) => byGpu(a) - byGpu(b) || a.localeCompare(b))) {
    const measure = GPU.exec(name)?.[2] ?? name;
    const [title, unit] = MEASURES[measure] ?? [measure, ""];
    const spec = specs.get(measure) ?? { title: title + (unit && `,${unit}`), unit, metrics: [], group: GPU.test(name) ? "GPUs" : "Host" };
    spec.metrics.push(name);
    specs.set(measure, spec);
  }
  return [...specs.values()];
}
