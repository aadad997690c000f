"""Prints how many metrics a second go from the queue to a receiver, as JSON. Runs with this exporter only.

The first argument is the number of calls, the second the sink whose metrics count.
"""

import json
import sys
import time

from primus_lens_wandb_exporter import runtime
from primus_lens_wandb_exporter.records import MetricsRecord

calls, sink = int(sys.argv[1]), (sys.argv[2:] or ["lens"])[0]
exporter, run, _ = runtime.start_run("benchmark")
route = exporter.route(run)
began, began_cpu = time.perf_counter(), time.process_time()
for i in range(calls):
    metrics = {"a": i, "b": i * 0.5, "c": -i}
    exporter.export(MetricsRecord(run, i, i, time.time(), metrics, metrics), route)
queued = time.perf_counter()
flushed = exporter.flush()
counters = exporter.counters()[sink]
assert flushed
assert counters.delivered == 3 * calls, counters
cpu_s = time.process_time() - began_cpu
took_s = time.perf_counter() - began
print(
    json.dumps({"metrics_per_s": 3 * calls / took_s, "metrics_per_cpu_s": 3 * calls / cpu_s, "queue_s": queued - began})
)
