"""Prints the time that a ``wandb.log`` call takes beyond what is wandb's own, in microseconds, as JSON."""

import functools
import json
import statistics
import sys
import time

import wandb
from wandb.sdk.wandb_run import Run

count, calls, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
# Seconds of the last call: in wandb's own method, and in whatever wraps it.
inside, around = [0.0], [None]


def stopwatch(method, seconds):
    @functools.wraps(method)
    def timed(self, *args, **kwargs):
        began = time.perf_counter()
        try:
            return method(self, *args, **kwargs)
        finally:
            seconds[0] = time.perf_counter() - began

    return timed


def own_of(wrapper):
    while getattr(wrapper, "_primus_lens_wrapped", False):
        wrapper = wrapper.__wrapped__
    return wrapper


wrapped = [name for name in ("_log", "log") if own_of(vars(Run).get(name)) is not vars(Run).get(name)]
if wrapped:
    wrapper = vars(Run)[wrapped[0]]
    own = own_of(wrapper)
    # Ours closes over the method that it wraps.
    for cell in wrapper.__closure__:
        if cell.cell_contents is own:
            cell.cell_contents = stopwatch(own, inside)
    setattr(Run, wrapped[0], stopwatch(wrapper, around))
else:
    Run.log = stopwatch(Run.log, inside)

wandb.init(project="benchmark")
names = ["metric_%d" % i for i in range(count)]
added, whole = [], []
for i in range(calls):
    data = dict.fromkeys(names, i * 0.5)
    began = time.perf_counter()
    wandb.log(data)
    took = time.perf_counter() - began
    added.append((took if around[0] is None else around[0]) - inside[0])
    whole.append(took)
    if pause:
        time.sleep(pause)
steady = sorted(added[len(added) // 5 :])
result = {
    "median": statistics.median(steady) * 1e6,
    "mean": statistics.fmean(steady) * 1e6,
    "p99": steady[int(len(steady) * 0.99)] * 1e6,
    "call": statistics.median(whole) * 1e6,
}
print(json.dumps(result))
