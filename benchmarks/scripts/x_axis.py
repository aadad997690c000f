"""Logs rows of five values in the form of HF's Trainer, whose x-axis every call brings or none does.

Prints what training and all threads of the process took of the CPU, how long ``finish`` took, and the memory, as JSON.
"""

import json
import resource
import sys
import time

import wandb

rows, pause, brings_axis = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "brought"
run = wandb.init(project="benchmark")
run.define_metric("train/global_step")
run.define_metric("*", step_metric="train/global_step", step_sync=True)
wandb.log({"train/global_step": 0})
began, thread_began = time.process_time(), time.thread_time()
for i in range(rows):
    values = {"train/loss": 1 / (i + 1), "train/grad_norm": i * 0.37, "train/learning_rate": 1e-5 * i, "train/epoch": i}
    wandb.log({**values, "train/global_step" if brings_axis else "train/samples": i})
    time.sleep(pause)
cpu_s, training_s = time.process_time() - began, time.thread_time() - thread_began
finishing = time.perf_counter()
run.finish()
result = {
    "finish_s": time.perf_counter() - finishing,
    "call_us": training_s / rows * 1e6,
    "threads_us": (cpu_s - training_s) / rows * 1e6,
    "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}
print(json.dumps(result))
