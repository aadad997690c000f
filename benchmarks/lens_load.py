"""How fast the local Lens takes metrics from 64 senders at once, and answers queries meanwhile, on this machine.

`python -m benchmarks.lens_load` starts a server on a fresh database with a workload of a million points, sends, asks,
and then reads the database to see that nothing is missing. Figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Iterator, NamedTuple

from sqlalchemy import func, select

from primus_lens_local import store
from primus_lens_local.admission import Admission
from primus_lens_local.contract import decode_metrics
from primus_lens_local.database import open_database
from primus_lens_local.tables import MetricSummary, TrainingPerformance
from tests.support.lens import Lens

from .scripts.lens_senders import STEP_TIME_MS, body_of, value_of

SENDERS = 64
MILLION = "million"
MILLION_STEPS, MILLION_METRICS = 100_000, 10
START_MS = 1_700_000_000_000


class Form(NamedTuple):
    """How a sender sends."""

    title: str
    metrics: int
    steps: int
    requests: int
    metrics_per_s: int = 0
    """Of all senders together; 0 is as fast as the server answers."""


FORMS = (
    Form("20,000 metrics/s, 500 a request", 5, 100, 10, 20_000),
    Form("500 metrics a request (100 steps of 5)", 5, 100, 16),
    Form("10 metrics a request (1 step)", 10, 1, 300),
    Form("5 metrics a request (1 step)", 5, 1, 300),
)
_END_MS = START_MS + MILLION_STEPS * STEP_TIME_MS
_MIDDLE = {"start": START_MS + 50_000 * STEP_TIME_MS, "end": START_MS + 51_000 * STEP_TIME_MS - 1}
_ONE = {"data_source": "wandb", "metrics": "train/metric_3"}
QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "sources": (f"/workloads/{MILLION}/metrics/sources", {}),
    "available": (f"/workloads/{MILLION}/metrics/available", {"data_source": "wandb"}),
    "runs": (f"/workloads/{MILLION}/runs", {}),
    "workloads": ("/workloads", {}),
    "data: a metric, 1,000 steps by time": (f"/workloads/{MILLION}/metrics/data", {**_ONE, **_MIDDLE}),
    "data: a metric, the last 1,000 steps": (
        f"/workloads/{MILLION}/metrics/data",
        {**_ONE, "run_id": "r1", "start": _END_MS - 1000 * STEP_TIME_MS, "end": _END_MS},
    ),
    "iteration-times: 1,000 steps": (f"/workloads/{MILLION}/metrics/iteration-times", dict(_MIDDLE)),
}
WHOLE = {
    "data: a metric, all 100,000 points": (f"/workloads/{MILLION}/metrics/data", _ONE),
    "data: all 1,000,000 points": (f"/workloads/{MILLION}/metrics/data", {"metrics": "all"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lens_load", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database", help="a PostgreSQL URL of an empty database (default: SQLite, in a new folder)")
    parser.add_argument("--folder", help="where the SQLite file goes (default: the system's temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as directory:
        location = options.database or str(Path(directory) / "lens.db")
        seed(location)
        with running_server(location) as lens:
            measure(lens, options.rounds)
        sent = options.rounds * sum(SENDERS * form.metrics * form.steps * form.requests for form in FORMS)
        verify(location, sent)


def seed(location: str) -> None:
    engine = open_database(location)
    admission = Admission()
    names = [f"train/metric_{index}" for index in range(MILLION_METRICS)]
    for first in range(0, MILLION_STEPS, 1000):
        store.write(engine, [decode_metrics(body_of(MILLION, "r1", range(first, first + 1000), names))], admission)
    engine.dispose()


@contextlib.contextmanager
def running_server(location: str) -> Iterator[Lens]:
    command = [sys.executable, "-m", "primus_lens_local", "serve", "--port", "0", "--database", location]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Lens(process.stdout.readline().split()[-1])
    finally:
        process.terminate()
        process.wait()


def measure(lens: Lens, rounds: int) -> None:
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    print(f"{SENDERS} senders, {os.cpu_count()} CPU cores, load average before: {load}; medians over {rounds} rounds\n")
    print(f"{'sent':<42}{'metrics/s':>12}{'requests/s':>12}{'answer ms':>11}{'p99 ms':>9}")
    asked: dict[Form, dict[str, list[float]]] = {form: {name: [] for name in QUERIES} for form in FORMS}
    for form in FORMS:
        found = [send(lens, asked[form], form, number) for number in range(rounds)]
        rates = [statistics.median(result[key] for result in found) for key in ("metrics_per_s", "requests_per_s")]
        waits = [statistics.median(result["answer_ms"][key] for result in found) for key in ("median", "p99")]
        print(f"{form.title:<42}{rates[0]:>12,.0f}{rates[1]:>12,.0f}{waits[0]:>11,.0f}{waits[1]:>9,.0f}", flush=True)
    for form in FORMS:
        print(f"\nasked meanwhile, of a million points: {form.title}")
        print(f"{'(ms)':<44}{'median':>8}{'p95':>8}{'largest':>9}{'times':>7}")
        for name, found_waits in asked[form].items():
            show(name, found_waits)
    print(f"\n{'asked of the idle server (ms)':<44}{'median':>8}{'p95':>8}{'largest':>9}{'times':>7}")
    for name, (path, parameters) in {**QUERIES, **WHOLE}.items():
        show(name, [ask(lens, path, parameters) for _ in range(3 if name in WHOLE else 15)])


def show(name: str, waits: list[float]) -> None:
    ordered = sorted(waits)
    p95 = ordered[math.ceil(len(ordered) * 0.95) - 1]
    print(f"{name:<44}{statistics.median(ordered):>8,.1f}{p95:>8,.1f}{ordered[-1]:>9,.1f}{len(ordered):>7}")


def send(lens: Lens, asked: dict[str, list[float]], form: Form, number: int) -> Any:
    arguments = {
        "port": lens.url.rsplit(":", 1)[1],
        "senders": SENDERS,
        "metrics_per_step": form.metrics,
        "steps_per_request": form.steps,
        "requests": form.requests,
        "metrics_per_s": form.metrics_per_s,
        "workload": f"load-{FORMS.index(form)}-{number}",
    }
    command = [sys.executable, str(Path(__file__).parent / "scripts" / "lens_senders.py")]
    command += [f"--{name}={value}" for name, value in arguments.items()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "sending\n"
    with asking(lens, asked):
        result = json.loads(process.stdout.read())
    assert process.wait() == 0
    return result


def ask(lens: Lens, path: str, parameters: dict[str, Any]) -> float:
    """Returns how long an answer took, in milliseconds."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"{lens.base_url}{path}?{urllib.parse.urlencode(parameters)}", timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1000


@contextlib.contextmanager
def asking(lens: Lens, asked: dict[str, list[float]]) -> Iterator[None]:
    """Asks one query after the other, ten a second, as a page or Grafana would, until the block ends."""
    done = threading.Event()

    def ask_until_done() -> None:
        while not done.wait(0.1):
            for name, (path, parameters) in QUERIES.items():
                asked[name].append(ask(lens, path, parameters))
                if done.wait(0.1):
                    return

    thread = threading.Thread(target=ask_until_done)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def verify(location: str, sent: int) -> None:
    """Reads the table itself, without the server."""
    engine = open_database(location)
    row = TrainingPerformance
    found = 0
    wrong = 0
    with engine.connect() as connection:
        query = select(row.iteration, row.performance).where(row.workload_uid != MILLION)
        for iteration, performance in connection.execute(query, execution_options={"yield_per": 1000}):
            for name, value in performance.items():
                if name != "run_id":
                    found += 1
                    wrong += value != value_of(iteration, int(name.rsplit("_", 1)[1]))
        counted = int(connection.scalar(select(func.sum(MetricSummary.step_count))) or 0)
    engine.dispose()
    print(f"\nsent {sent:,} metrics, found {found:,} in the table, {wrong} wrong")
    assert (found, wrong, counted) == (sent, 0, sent + MILLION_STEPS * MILLION_METRICS)


if __name__ == "__main__":
    main()
