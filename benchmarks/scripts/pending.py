"""Prints how long ``finish`` takes with 1,000 calls pending, and the memory of the process, as JSON."""

import json
import resource
import time

import wandb

run = wandb.init(project="benchmark")
for i in range(1000):
    wandb.log({"a": i, "b": i * 0.5, "c": -i})
began = time.perf_counter()
run.finish()
finish_s = time.perf_counter() - began
print(json.dumps({"finish_s": finish_s, "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
