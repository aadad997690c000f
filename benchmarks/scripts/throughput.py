"""Prints how many metrics a second go from the queue to a receiver, as JSON. Runs with this exporter only."""

import json
import sys
import time

from primus_lens_wandb_exporter import runtime
from primus_lens_wandb_exporter.records import MetricsRecord

calls = int(sys.argv[1])
exporter, run, _ = runtime.start_run("benchmark")
route = exporter.route(run)
began = time.perf_counter()
for i in range(calls):
    metrics = {"a": i, "b": i * 0.5, "c": -i}
    exporter.export(MetricsRecord(run, i, i, time.time(), metrics, metrics), route)
queued = time.perf_counter()
flushed = exporter.flush()
counters = exporter.counters()["lens"]
assert flushed
assert counters.delivered == 3 * calls, counters
print(json.dumps({"metrics_per_s": 3 * calls / (time.perf_counter() - began), "queue_s": queued - began}))
