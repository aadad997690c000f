"""What system metrics cost: `python -m benchmarks.system_metrics`, with 0 and with 8 AMD GPUs of a made-up sysfs.

Per log call: taking the newest sample and merging it, once into what wandb gets and once into the record. For the
sampler: its share of one core at the default interval of 5 s, from the CPU time that samples every 10 ms take.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import timeit
from pathlib import Path

from primus_lens_wandb_exporter.system_metrics.sampler import DEFAULT_INTERVAL_S, SystemSampler
from tests.system_metrics.fake_amd import Sysfs

FAST_INTERVAL_S = 0.01
CALLS = 100_000


def main() -> None:
    print(f"{'GPUs':>4} {'values':>7} {'µs per log call':>16} {'CPU share of a core':>20}")
    for gpus in (0, 8):
        with tempfile.TemporaryDirectory() as directory:
            tree = Sysfs(Path(directory))
            for number in range(gpus):
                tree.add_gpu(number, f"0000:{number + 5:02x}:00.0")
            values, cost_us, share = measure(directory)
        print(f"{gpus:>4} {values:>7} {cost_us:>16.2f} {share:>20.4%}")


def measure(sys_root: str) -> tuple[int, float, float]:
    sampler = SystemSampler(FAST_INTERVAL_S, sys=sys_root, environ={})
    sampler.start()
    time.sleep(1)
    used, began = time.process_time(), time.monotonic()
    time.sleep(5)
    samples = (time.monotonic() - began) / FAST_INTERVAL_S
    per_sample = (time.process_time() - used) / samples
    data = {"loss": 0.5, "accuracy": 0.9, "lr": 0.1}
    plain = min(timeit.repeat(lambda: {**data}, number=CALLS, repeat=5))
    times = [timeit.timeit(lambda: merge_twice(sampler, data), number=CALLS) - 2 * plain for _ in range(5)]
    values = len(sampler.latest())
    sampler.stop()
    return values, statistics.median(times) / CALLS * 1e6, per_sample / DEFAULT_INTERVAL_S


def merge_twice(sampler: SystemSampler, data: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    sample = sampler.latest()
    return {**sample, **data}, {**sample, **data}


if __name__ == "__main__":
    main()
