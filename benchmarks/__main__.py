"""What the exporter costs, beside no exporter and beside its published peer, in one run: `make bench`.

Variants take turns, so that a slow moment of the machine meets all of them; figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Iterator, Sequence

from tests.support.lens import Lens, running_lens

from .environments import (
    DIRECTORY,
    ROOT,
    STARTUP_VARIANTS,
    VARIANTS,
    environment,
    prepare,
    python_of,
    site_packages_of,
)

SCRIPTS = Path(__file__).parent / "scripts"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *BENCHMARKS], help="which to run; all when none is named")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    prepare()
    print(f"Python {platform.python_version()}, {platform.machine()}, medians over {options.rounds} rounds\n")
    with tempfile.TemporaryDirectory() as directory, running_lens(Path(directory)) as lens:
        for name in options.only or BENCHMARKS:
            BENCHMARKS[name](lens, options.rounds)


def start_up(lens: Lens, rounds: int) -> None:
    for title, variables in (
        ("without bytecode (PYTHONDONTWRITEBYTECODE=1)", {"PYTHONDONTWRITEBYTECODE": "1"}),
        ("with bytecode", {}),
    ):
        for variant in STARTUP_VARIANTS:
            remove_bytecode(site_packages_of(variant))
            cpu_ms("pass", variant, **variables)
        print(f"Python start-up, `python -c pass`, {title} (ms of CPU)")
        found = alternate(functools.partial(cpu_ms, "pass", **variables), rounds * 20, STARTUP_VARIANTS)
        show(found, added_to="bare")
        dearer = statistics.median(ours - empty for ours, empty in zip(found["ours"], found["empty"]))
        print(f"  ours beyond an empty module, pair by pair: {dearer:+.2f}\n")
    print("`import wandb` (ms)")
    show(alternate(functools.partial(wall_ms, "import wandb"), rounds * 3), added_to="bare")


def remove_bytecode(folder: Path) -> None:
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)


def log_calls(lens: Lens, rounds: int) -> None:
    for count, calls, pause in ((3, 3000, 0.0), (3, 1000, 0.002), (100, 1000, 0.0)):
        how = f"one every {pause * 1000:.0f} ms" if pause else "without pause"
        print(f"Added to a `wandb.log` of {count} scalars, {calls} calls {how}, Lens and JSONL on (µs)")
        measure = functools.partial(script, lens, "log_call.py", count, calls, pause)
        found = alternate(measure, rounds)
        for key in ("median", "mean", "p99"):
            print(f"  {key} of the calls")
            show({variant: [result[key] for result in results] for variant, results in found.items()}, ratio_to="peer")


def outages(lens: Lens, rounds: int) -> None:
    print("Added to a `wandb.log` of 3 scalars, 3000 calls without pause, Lens away and the buffer full (µs, median)")
    away = {"PRIMUS_LENS_API_BASE_URL": "http://127.0.0.1:9/api/v1", "PRIMUS_LENS_WANDB_BUFFER_MB": "0.2"}
    measure = functools.partial(script, lens, "log_call.py", 3, 3000, 0.0, PRIMUS_LENS_WANDB_FLUSH_TIMEOUT="0", **away)
    found = alternate(measure, rounds)
    show({variant: [result["median"] for result in results] for variant, results in found.items()}, ratio_to="peer")


def bursts(lens: Lens, rounds: int) -> None:
    calls = 20_000
    print(f"A burst of {calls} calls with 3 metrics each")
    for variant in ("ours", "peer"):
        workload = f"burst-{variant}-{uuid.uuid4()}"
        result = script(lens, "burst.py", calls, variant=variant, WORKLOAD_UID=workload)
        points = [(point["metric_name"], point["iteration"], point["value"]) for point in lens.points(workload)]
        expected = {
            (name, i, float(value)) for i in range(calls) for name, value in (("a", i), ("b", i / 2), ("c", -i))
        }
        right = len(set(points) & expected)
        print(
            f"  {variant:<6}{len(points):>8} metrics in Lens, {right} right in name, step and value, "
            f"{len(points) - len(set(points))} twice; loop {result['log_s']:.2f} s, finish {result['finish_s']:.2f} s"
        )


def throughput(lens: Lens, rounds: int) -> None:
    print("From the queue to a receiver that is fast enough (metrics/s)")
    with receiver() as base_url:
        found = [script(lens, "throughput.py", 20_000, PRIMUS_LENS_API_BASE_URL=base_url) for _ in range(rounds)]
    show({"ours": [result["metrics_per_s"] for result in found]})


def endings(lens: Lens, rounds: int) -> None:
    for what, arguments in (("1,000 calls", (1000, 0)), ("nothing", (100, 2))):
        measure = functools.partial(script, lens, "pending.py", *arguments, PRIMUS_LENS_WANDB_FLUSH_INTERVAL="0.5")
        found = alternate(measure, rounds)
        print(f"`finish` with {what} pending and a healthy Lens (s)")
        show({variant: [result["finish_s"] for result in results] for variant, results in found.items()}, "bare")
        print("Memory of that job at its largest (MB)")
        show({variant: [result["memory_mb"] for result in results] for variant, results in found.items()}, "bare")


def x_axes(lens: Lens, rounds: int) -> None:
    rows, pause = 20_000, 0.0005
    for how in ("brought", "left out"):
        print(f"{rows} calls of 5 values with `define_metric('*', step_metric=…, step_sync=True)`, the x-axis {how}")
        found = alternate(functools.partial(script, lens, "x_axis.py", rows, pause, how), rounds, ("bare", "ours"))
        for key, what in (
            ("call_us", "CPU of the training thread for each call (µs)"),
            ("threads_us", "CPU of all other threads for each call (µs)"),
            ("finish_s", "`finish` (s)"),
            ("memory_mb", "memory at its largest (MB)"),
        ):
            print("  " + what)
            show({variant: [result[key] for result in results] for variant, results in found.items()}, "bare")


BENCHMARKS = {
    "start-up": start_up,
    "log-calls": log_calls,
    "outages": outages,
    "bursts": bursts,
    "throughput": throughput,
    "endings": endings,
    "x-axes": x_axes,
}


def alternate(measure: Any, rounds: int, variants: Sequence[str] = VARIANTS) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant in variants:
            found[variant].append(measure(variant=variant))
    return found


def wall_ms(code: str, variant: str) -> float:
    began = time.perf_counter()
    subprocess.run([python_of(variant), "-c", code], check=True, env=environment(), cwd=DIRECTORY)
    return (time.perf_counter() - began) * 1000


def cpu_ms(code: str, variant: str, **variables: str) -> float:
    """User and system time of a process: what it costs, however busy the machine is."""
    process = subprocess.Popen([python_of(variant), "-c", code], env=environment(**variables), cwd=DIRECTORY)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return (usage.ru_utime + usage.ru_stime) * 1000


def script(lens: Lens, name: str, *arguments: object, variant: str = "ours", **variables: str) -> Any:
    """Runs a script with Lens and JSONL on and returns what it printed as its last line."""
    with tempfile.TemporaryDirectory() as directory:
        settings = {
            "WANDB_DIR": directory,
            "WORKLOAD_UID": f"bench-{uuid.uuid4()}",
            "PRIMUS_LENS_API_BASE_URL": lens.base_url,
            "PRIMUS_LENS_WANDB_OUTPUT_PATH": directory,
            **variables,
        }
        command = [python_of(variant), str(SCRIPTS / name), *map(str, arguments)]
        run = subprocess.run(
            command,
            check=True,
            env=environment(**settings),
            cwd=directory,
            capture_output=True,
        )
    return json.loads(run.stdout.decode().strip().splitlines()[-1])


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.receiver"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/api/v1"
    finally:
        process.terminate()
        process.wait()


def show(found: dict[str, list[float]], added_to: str = "", ratio_to: str = "") -> None:
    medians = {variant: statistics.median(values) for variant, values in found.items()}
    for variant, median in medians.items():
        values = sorted(found[variant])
        text = f"  {variant:<6}{median:>12,.2f}   (from {values[0]:,.2f} to {values[-1]:,.2f})"
        if added_to and variant != added_to:
            text += f"   {median - medians[added_to]:+,.2f}"
        if ratio_to and variant not in (ratio_to, "bare") and medians[ratio_to]:
            text += f"   {median / medians[ratio_to]:.3f} of the {ratio_to}"
        print(text)
    print()


if __name__ == "__main__":
    main()
