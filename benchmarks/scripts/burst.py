"""Logs a burst of 20,000 calls with three metrics each; prints how long the loop and finish took, as JSON."""

import json
import sys
import time

import wandb

calls = int(sys.argv[1])
run = wandb.init(project="benchmark")
began = time.perf_counter()
for i in range(calls):
    wandb.log({"a": i, "b": i * 0.5, "c": -i})
logged = time.perf_counter()
run.finish()
print(json.dumps({"run_id": run.id, "log_s": logged - began, "finish_s": time.perf_counter() - logged}))
