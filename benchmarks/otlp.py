"""What OpenTelemetry adds to Lens and the file, in one run: ``python -m benchmarks.otlp``.

With two and with three destinations take turns; figures are medians over the rounds. The interpreter is the one that
runs this: it needs the exporter, wandb and opentelemetry-proto.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import uuid
from typing import Any, Iterator

from tests.support.training import clean_environment

from .__main__ import SCRIPTS, receiver

TWO, THREE = "two", "three"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.otlp", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    print(f"Python {platform.python_version()}, {platform.machine()}, medians over {rounds} rounds\n")
    with endpoints() as addresses:
        for calls, pause in ((5000, 0.0), (1500, 0.002)):
            how = f"one every {pause * 1000:.0f} ms" if pause else "without pause"
            print(f"Added to a `wandb.log` of 3 scalars, {calls} calls {how} (µs)")
            compare(addresses, rounds, ("median", "mean", "p99"), "log_call.py", 3, calls, pause)
        print("A job with 1,000 calls")
        compare(addresses, rounds, ("memory_mb", "finish_s"), "pending.py", 1000, 0)
        print("From the queue to a receiver that is fast enough, OpenTelemetry alone (points, without those of steps)")
        found = [run_throughput(addresses) for _ in range(rounds)]
        for key in ("metrics_per_s", "metrics_per_cpu_s"):
            show(key, [result[key] for result in found])


def compare(addresses: dict[str, str], rounds: int, keys: tuple[str, ...], *command: object) -> None:
    found: dict[str, list[Any]] = {TWO: [], THREE: []}
    for _ in range(rounds):
        for variant in (TWO, THREE):
            variables = {} if variant == THREE else {"PRIMUS_LENS_WANDB_OTLP_ENDPOINT": ""}
            found[variant].append(run(addresses, *command, **variables))
    for key in keys:
        medians = {variant: show(f"{key}, {variant}", [r[key] for r in found[variant]]) for variant in found}
        print(f"  {key}: {medians[THREE] - medians[TWO]:+.2f}, {medians[THREE] / medians[TWO]:.3f} of two\n")


def run_throughput(addresses: dict[str, str]) -> Any:
    off = {"PRIMUS_LENS_WANDB_API_REPORTING": "false", "PRIMUS_LENS_WANDB_SAVE_LOCAL": "false"}
    return run(addresses, "throughput.py", 40_000, "otlp", **off)


@contextlib.contextmanager
def endpoints() -> Iterator[dict[str, str]]:
    with receiver() as base_url:
        yield {
            "PRIMUS_LENS_API_BASE_URL": base_url,
            "PRIMUS_LENS_WANDB_OTLP_ENDPOINT": base_url.replace("/api/v1", "/v1/metrics"),
        }


def run(addresses: dict[str, str], name: object, *arguments: object, **variables: str) -> Any:
    with tempfile.TemporaryDirectory() as directory:
        settings = {
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "WANDB_DIR": directory,
            "WORKLOAD_UID": f"bench-{uuid.uuid4()}",
            "PRIMUS_LENS_WANDB_OUTPUT_PATH": directory,
            **addresses,
            **variables,
        }
        command = [sys.executable, str(SCRIPTS / str(name)), *map(str, arguments)]
        done = subprocess.run(
            command, check=True, env=clean_environment(**settings), cwd=directory, stdout=subprocess.PIPE
        )
    return json.loads(done.stdout.decode().strip().splitlines()[-1])


def show(title: str, values: list[float]) -> float:
    median = statistics.median(values)
    print(f"  {title:<24}{median:>14,.2f}   (from {min(values):,.2f} to {max(values):,.2f})")
    return median


if __name__ == "__main__":
    main()
