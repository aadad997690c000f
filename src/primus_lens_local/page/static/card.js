// One chart: uPlot on a card, with smoothing, zoom and a tooltip. It exists only while the card is on the screen.

import { h, clock, count, duration, number, tick } from "./dom.js";
import { state } from "./state.js";

const HEIGHT = 190;
const FONT = '11px system-ui, -apple-system, "Segoe UI", sans-serif';
const LINES_IN_TOOLTIP = 12;
// Fewer blocks than this in a zoomed chart: ask the server for finer ones.
const ENOUGH_BLOCKS = 300;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** wandb's smoothing: an exponential moving average that is weighted by distance, and without bias at its start. */
export function smoothed(xs, ys, smoothing) {
  const weight = Math.min(Math.sqrt(smoothing), 0.999);
  const range = xs[xs.length - 1] - xs[0] || 1;
  let sum = 0;
  let bias = 0;
  return ys.map((y, i) => {
    const adjusted = weight ** (((xs[i] - xs[Math.max(0, i - 1)]) / range) * 1000);
    sum = sum * adjusted + y;
    bias = bias * adjusted + 1;
    return sum / bias;
  });
}

/** Without the library a card shows its newest value, and no picture. */
export const canDraw = () => typeof uPlot !== "undefined";

export class Card {
  /** `spec`: {title, unit, metrics}; `lines()`: [{metric, run, label, color, dash, alpha, start}] to draw now. */
  constructor(spec, live, lines) {
    Object.assign(this, { spec, live, lines, plot: null, zoom: null, fine: new Map(), shape: "" });
    this.now = h("span", { class: "now" });
    this.reset = h("button", { type: "button", class: "reset", hidden: true, onclick: () => this.zoomTo(null) }, "Reset zoom");
    this.box = h("div", { class: "plot", role: "img", hidden: !canDraw() });
    this.tooltip = h("div", { class: "tooltip", hidden: true });
    this.element = h("article", { class: "card" },
      h("header", {}, h("h3", { title: spec.title }, spec.title), this.reset, this.now), this.box, this.tooltip);
    this.element.dataset.metric = spec.title;
    this.resizing = new ResizeObserver(() => this.plot?.setSize({ width: this.box.clientWidth, height: HEIGHT }));
  }

  show() {
    this.resizing.observe(this.box);
    this.draw();
  }

  hide() {
    this.resizing.disconnect();
    this.plot?.destroy();
    this.plot = null;
    this.shape = "";
  }

  /** Draws what is known now. */
  draw() {
    this.drawn = this.lines().map((line) => this.#points(line)).filter((line) => line.xs.length);
    this.#describe();
    if (!canDraw()) return;
    const tables = this.drawn.map((line) => this.#columns(line));
    const data = tables.length ? uPlot.join(tables) : [[], []];
    const shape = JSON.stringify([this.drawn.map((line, i) => [line.color, line.dash, line.alpha, line.label, tables[i].length]),
      state.x, state.smoothing > 0, document.documentElement.dataset.theme]);
    if (this.plot && shape === this.shape) {
      this.plot.setData(data);
      return;
    }
    this.plot?.destroy();
    this.shape = shape;
    this.plot = new uPlot(this.#options(tables), data, this.box);
    this.plot.over.addEventListener("mouseleave", () => (this.tooltip.hidden = true));
  }

  /** Shows a range of x, or all of it for null, and reads the range more finely where that shows more. */
  async zoomTo(range) {
    this.zoom = range;
    this.reset.hidden = !range;
    this.fine.clear();
    this.draw();
    if (!range) return;
    await Promise.all(this.drawn.map(async (line) => {
      const blocks = line.blocks.filter((_, i) => line.xs[i] >= range[0] && line.xs[i] <= range[1]);
      if (!blocks.some((block) => block.count > 1) || blocks.length >= ENOUGH_BLOCKS) return;
      const found = await this.live.range(line.metric, line.run, blocks[0].first, blocks[blocks.length - 1].last);
      if (this.zoom === range) this.fine.set(line.key, found);
    })).catch(() => {}); // the coarse picture stays; the next poll says what is wrong
    if (this.zoom === range && this.plot) this.draw();
  }

  #points(line) {
    const key = JSON.stringify([line.metric, line.run]);
    let blocks = this.live.blocks(line.metric, line.run);
    const fine = this.fine.get(key);
    if (fine?.length) {
      const [first, last] = [fine[0].first, fine[fine.length - 1].last];
      blocks = [...blocks.filter((b) => b.last < first), ...fine, ...blocks.filter((b) => b.first > last)];
    }
    if (state.x !== "step") blocks = [...blocks].sort((a, b) => a.time - b.time);
    const start = state.x === "relative" ? line.start : 0;
    const xs = blocks.map((block) => (state.x === "step" ? block.first : (block.time - start) / 1000));
    return { ...line, key, blocks, xs, isBanded: blocks.some((block) => block.count > 1) };
  }

  /** [x, mean] and, where there are any, lowest and highest, or the smoothed values. */
  #columns({ xs, blocks, isBanded }) {
    const mean = blocks.map((block) => block.mean);
    if (state.smoothing) return [xs, mean, smoothed(xs, mean, state.smoothing)];
    return isBanded ? [xs, mean, blocks.map((block) => block.low), blocks.map((block) => block.high)] : [xs, mean];
  }

  #describe() {
    let last = null;
    for (const { blocks } of this.drawn) {
      const newest = blocks[blocks.length - 1];
      if (!last || newest.last > last.last) last = newest;
    }
    const value = last && (last.count > 1 ? "mean " : "") + number(last.mean) + this.spec.unit;
    this.now.textContent = this.drawn.length === 1 ? value : last ? `step ${count(last.last)}` : "no data in these runs";
    this.element.dataset.lastStep = last ? last.last : "";
    this.element.dataset.lines = this.drawn.length;
    this.element.dataset.points = this.drawn.reduce((sum, line) => sum + line.blocks.length, 0);
    this.box.setAttribute("aria-label", last
      ? `${this.spec.title}: ${this.drawn.map((line) => line.label).join(", ")}; newest step ${last.last}`
      : `${this.spec.title}: no data`);
  }

  #options(tables) {
    const [text, grid] = [css("--muted"), css("--grid")];
    const axis = { stroke: text, font: FONT, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
    const ticks = (_, splits, __, ___, step) => splits.map((value) => tick(value, step));
    const series = [{}];
    const bands = [];
    this.drawn.forEach((line, i) => {
      const stroke = css(line.color);
      const solid = { stroke, width: this.drawn.length > 6 ? 1 : 1.5, dash: line.dash, alpha: line.alpha ?? 1, spanGaps: true,
        points: { size: 4, fill: stroke } };
      const faint = { ...solid, width: 1, alpha: 0.25, isFaint: true, points: { show: false } };
      const edge = { stroke, width: 0.75, alpha: 0.35, isFaint: true, spanGaps: true, points: { show: false } };
      if (tables[i].length === 4) {
        bands.push({ series: [series.length + 2, series.length + 1], fill: `${stroke}33` });
        series.push(solid, edge, edge);
      } else series.push(...(tables[i].length === 3 ? [faint, { ...solid, points: { show: false } }] : [solid]));
    });
    return {
      width: this.box.clientWidth, height: HEIGHT, series, bands, padding: [8, 10, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: state.x === "time", range: (_, low, high) => this.zoom ?? widened(low, high, 0) },
        y: { range: (_, low, high) => widened(low, high, 0.06) },
      },
      axes: [
        { ...axis, size: 26, gap: 4, ...(state.x === "time" ? {} : {
          values: state.x === "step" ? ticks : (_, splits) => splits.map(duration) }), space: 64 },
        { ...axis, size: 48, gap: 4, space: 34, values: ticks },
      ],
      cursor: {
        drag: { x: true, y: false, setScale: false },
        points: { size: (plot, i) => (plot.series[i].isFaint ? 0 : 6) },
        sync: { key: "lens", scales: ["x", null], setSeries: false, filters: { pub: (type) => /move|leave/.test(type) } },
        bind: { dblclick: () => () => this.zoomTo(null) },
      },
      hooks: {
        setSelect: [(plot) => this.#select(plot)],
        setCursor: [(plot) => this.#point(plot)],
      },
    };
  }

  #select(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.zoomTo([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
  }

  #point(plot) {
    const { left, top } = plot.cursor;
    this.tooltip.hidden = !(left >= 0 && plot.over.matches(":hover") && this.drawn.length);
    if (this.tooltip.hidden) return;
    const x = plot.posToVal(left, "x");
    const reach = (plot.scales.x.max - plot.scales.x.min) * 0.05;
    const found = this.drawn.map((line) => ({ line, at: nearest(line.xs, x) }))
      .filter(({ line: { xs } }) => x >= xs[0] - reach && x <= xs[xs.length - 1] + reach)
      .map(({ line, at }) => ({ line, block: line.blocks[at], x: line.xs[at] }));
    const y = plot.posToVal(top, "y");
    const closest = [...found].sort((a, b) => Math.abs(a.block.mean - y) - Math.abs(b.block.mean - y));
    const listed = closest.slice(0, LINES_IN_TOOLTIP).sort((a, b) => b.block.mean - a.block.mean);
    this.tooltip.replaceChildren(
      h("b", {}, closest.length ? heading(closest[0]) : "no value here"),
      ...listed.map(({ line, block }) => h("div", {},
        h("i", { style: { background: `var(${line.color})` } }), h("span", {}, line.label),
        h("em", {}, number(block.mean)),
        block.count > 1 && h("small", {}, `${number(block.low)} … ${number(block.high)}`))),
      found.length > listed.length && h("small", {}, `and ${found.length - listed.length} more`) || "");
    const at = plot.over.offsetLeft + left;
    const [room, width] = [this.element.clientWidth, this.tooltip.offsetWidth];
    const side = at + 22 + width <= room ? at + 22 : at - width - 10;
    this.tooltip.style.setProperty("left", `${Math.max(4, Math.min(side, room - width - 4))}px`);
  }
}

function heading({ block, x }) {
  const steps = block.count > 1
    ? `Steps ${count(block.first)}–${count(block.last)}, mean of ${count(block.count)}` : `Step ${count(block.first)}`;
  return state.x === "step" ? steps : `${state.x === "time" ? clock(block.time) : duration(x)} · ${steps}`;
}

function widened(low, high, part) {
  if (low === null || high === null) return [0, 1];
  const margin = high > low ? (high - low) * part : Math.max(Math.abs(low) * 0.1, 0.5);
  return [low - margin, high + margin];
}

function nearest(xs, x) {
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  return Math.abs(xs[low] - x) <= Math.abs(xs[high] - x) ? low : high;
}
