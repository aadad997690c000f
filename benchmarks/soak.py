"""A long run through faults: `python -m benchmarks.soak [calls]`, by default one million log calls.

Lens goes down, hangs, refuses, is slow and comes back at random; at the end everything must be accounted for, what the
counters call delivered must be in Lens, and memory must be flat.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.support import faults
from tests.support.faults import FaultyLens, faulty_lens
from tests.support.lens import running_lens

from .environments import environment

SCRIPT = Path(__file__).parent / "scripts" / "soak.py"
FAULTS = [
    faults.refuse(503, "starting"),
    faults.refuse(500, "failed to process metrics"),
    faults.refuse(429, "slow down", Retry_After="1"),
    faults.refuse(400, "no valid workload found"),
    faults.close,
    faults.delay(1.0),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("calls", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        faulty = stack.enter_context(faulty_lens(stack.enter_context(running_lens(Path(directory)))))
        stop = threading.Event()
        trouble = threading.Thread(target=make_trouble, args=(faulty, stop, random.Random(options.seed)), daemon=True)
        trouble.start()
        settings = {
            "WANDB_DIR": directory,
            "WORKLOAD_UID": "soak",
            "PRIMUS_LENS_API_BASE_URL": faulty.base_url,
            "PRIMUS_LENS_WANDB_OUTPUT_PATH": directory,
            "PRIMUS_LENS_WANDB_FLUSH_TIMEOUT": "120",
        }
        command = [sys.executable, str(SCRIPT), str(options.calls)]
        run = subprocess.run(command, check=True, env=environment(**settings), cwd=directory, capture_output=True)
        stop.set()
        trouble.join()
        result = json.loads(run.stdout.decode().strip().splitlines()[-1])
        counted = result["counters"]["lens"]
        found = sum(metric["count"] for metric in faulty.lens.get("/workloads/soak/metrics/available")["metrics"])
        print(f"{options.calls} calls in {result['logged_s']:.0f} s, {len(faulty.requests)} requests: {counted}")
        print(f"in Lens: {found}; mirror: {result['counters']['jsonl']}; memory over time (MB): {result['memory_mb']}")
        accounted = sum(counted[key] for key in ("delivered", "rejected", "dropped", "pending"))
        assert counted["received"] == accounted == 3 * options.calls
        assert counted["delivered"] == found
    return 0


def make_trouble(faulty: FaultyLens, stop: threading.Event, rng: random.Random) -> None:
    """A fault of up to 5 s every few seconds, in a third of the cases a Lens that refuses connections."""
    while not stop.wait(rng.uniform(1, 6)):
        if rng.random() < 1 / 3:
            faulty.down()
        else:
            faulty.behaviour = rng.choice(FAULTS)
        began = time.monotonic()
        stop.wait(rng.uniform(0.5, 5))
        faulty.behaviour = faults.forward
        with contextlib.suppress(OSError):
            if time.monotonic() > began and faulty._server is None:
                faulty.up()
    faulty.behaviour = faults.forward
    if faulty._server is None:
        faulty.up()


if __name__ == "__main__":
    sys.exit(main())
