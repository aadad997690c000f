// What the page knows of one workload: its runs, and for every metric that was looked at the blocks of the shown runs.
// A block is a few consecutive steps (one, for a short run) with mean, lowest and highest value; see series.py.

import { sessionHeaders } from "./session.js";

const FIRST_STEP = -(2 ** 31);

/** The server wants its token (again). */
export class LoggedOutError extends Error {}

/** Asks the server; parameters may be lists. Throws an Error with a sentence for the user. */
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const item of [value].flat()) query.append(name, item);
  }
  let answer;
  try {
    answer = await fetch(`/page/${path}?${query}`, { headers: sessionHeaders() });
  } catch {
    throw new Error("The server does not answer. Trying again …");
  }
  if (answer.status === 401) throw new LoggedOutError("This server wants its token: log in again.");
  if (!answer.ok) throw new Error(`The server answers ${answer.status}. Trying again …`);
  return answer.json();
}

export class Live {
  constructor(workload, source) {
    this.workload = workload;
    this.source = source;
    this.runs = null; // until the first answer
    this.now = Date.now();
    this.complete = true;
    this.overviewVersion = 0;
    this.metrics = new Map(); // name -> {version, runs: Map(run -> {width, blocks: Map(number -> block)})}
  }

  /** Other runs are shown: what is known of the metrics is no longer all. */
  forgetMetrics() {
    this.metrics.clear();
  }

  /** Fetches what is new of these metrics of these runs; returns the names that changed, and whether the runs did. */
  async refresh(names, runs) {
    const groups = new Map();
    for (const name of names) {
      const version = this.metrics.get(name)?.version ?? 0;
      groups.set(version, [...(groups.get(version) ?? []), name]);
    }
    if (!groups.size) groups.set(0, []);
    const metrics = this.metrics;
    const changed = new Set();
    let overview = false;
    for (const [since, group] of groups) {
      const answer = await ask("live", {
        workload: this.workload, source: this.source, since, overview: this.overviewVersion, run: runs, metric: group,
      });
      this.now = answer.now;
      this.complete = answer.complete;
      if (answer.overview) {
        this.runs = answer.overview.runs;
        overview = true;
      }
      this.overviewVersion = answer.version;
      // A map that was replaced meanwhile belongs to other runs.
      for (const name of group) if (this.#merge(metrics, name, answer)) changed.add(name);
    }
    return { changed, overview };
  }

  #merge(metrics, name, answer) {
    const metric = metrics.get(name) ?? { version: 0, runs: new Map() };
    const isNew = !metrics.has(name);
    metrics.set(name, metric);
    metric.version = answer.version;
    const news = Object.entries(answer.series[name]);
    for (const [run, columns] of news) {
      let known = metric.runs.get(run);
      if (!known || columns.full || known.width !== columns.width) {
        known = { width: columns.width, blocks: new Map() };
        metric.runs.set(run, known);
      }
      known.sorted = null;
      for (const block of rows(columns)) known.blocks.set(Math.floor((block.first - FIRST_STEP) / known.width), block);
    }
    return isNew || news.length > 0;
  }

  /** The blocks of a metric of a run, by step. */
  blocks(metric, run) {
    const known = this.metrics.get(metric)?.runs.get(run);
    if (!known) return [];
    known.sorted ??= [...known.blocks.entries()].sort((a, b) => a[0] - b[0]).map((entry) => entry[1]);
    return known.sorted;
  }

  /** A range of steps as finely as the server has it. */
  async range(metric, run, first, last) {
    const answer = await ask("range", { workload: this.workload, source: this.source, run, metric, first, last });
    return rows(answer);
  }
}

function rows(columns) {
  return columns.first.map((first, i) => ({
    first,
    time: columns.time[i],
    mean: columns.mean[i],
    last: columns.last?.[i] ?? first,
    low: columns.low?.[i] ?? columns.mean[i],
    high: columns.high?.[i] ?? columns.mean[i],
    count: columns.count?.[i] ?? 1,
  }));
}
