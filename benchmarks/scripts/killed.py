"""Logs 200 calls, one every 20 ms, and is killed the given number of seconds after the last one."""

import os
import signal
import sys
import time

import wandb

CALLS = 200

if __name__ == "__main__":
    run = wandb.init(project="benchmark")
    for i in range(CALLS):
        run.log({"loss": 1 / (i + 1), "accuracy": i / CALLS, "epoch": i // 50})
        time.sleep(0.02)
    time.sleep(float(sys.argv[1]))
    os.kill(os.getpid(), signal.SIGKILL)
