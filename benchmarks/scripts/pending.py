"""Prints how long ``finish`` takes after so many calls, seconds after the last of them, and the memory, as JSON."""

import json
import resource
import sys
import time

import wandb

calls, pause = int(sys.argv[1]), float(sys.argv[2])
run = wandb.init(project="benchmark")
for i in range(calls):
    wandb.log({"a": i, "b": i * 0.5, "c": -i})
time.sleep(pause)
began = time.perf_counter()
run.finish()
finish_s = time.perf_counter() - began
print(json.dumps({"finish_s": finish_s, "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
