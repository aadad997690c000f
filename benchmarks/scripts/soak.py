"""One million log calls through wandb while Lens fails at random; prints the counters and the memory, as JSON."""

import json
import sys
import time

import wandb

from primus_lens_wandb_exporter import runtime


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


calls = int(sys.argv[1])
run = wandb.init(project="soak")
memory = []
began = time.monotonic()
for i in range(calls):
    run.log({"loss": 1.0 / (i + 1), "step": i, "lr": 0.1, "nested": {"accuracy": i % 100}}, step=i)
    if i % (calls // 20) == calls // 20 - 1:
        memory.append(round(resident_mb(), 1))
logged_s = time.monotonic() - began
run.finish()
(exporter,) = runtime._exporters.values()
counters = {name: found._asdict() for name, found in exporter.counters().items()}
print(json.dumps({"counters": counters, "memory_mb": memory, "logged_s": logged_s, "run_id": run.id}))
