"""The whole way on one machine: starts a local Lens, runs an unchanged training script, shows what arrived.

Run by `make demo`. On a terminal the server stays up until Ctrl-C; with --once, or without a terminal, it ends.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import requests

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "demo-output"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="end after showing what arrived, also on a terminal")
    options = parser.parse_args()
    # Tokens of the cluster's Lens mean nothing to the one that is started here.
    for name in ("PRIMUS_LENS_API_TOKEN", "PRIMUS_LENS_READ_TOKEN"):
        os.environ.pop(name, None)
    OUTPUT.mkdir(exist_ok=True)
    database = OUTPUT / "lens.db"
    server = subprocess.Popen(
        [sys.executable, "-m", "primus_lens_local", "serve", "--port", "0", "--database", str(database)],
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for us: we end the server ourselves.
        start_new_session=True,
    )
    try:
        return demonstrate(server, database, stay=sys.stdout.isatty() and not options.once)
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait(timeout=20)


def demonstrate(server: subprocess.Popen[str], database: Path, stay: bool) -> int:
    assert server.stdout is not None
    announcement = server.stdout.readline()
    if "http://" not in announcement:
        print(f"The local Lens did not start (exit code {server.wait()}); its message stands above.", file=sys.stderr)
        return 1
    url = "http://" + announcement.split("http://")[1].strip()
    workload = f"digits-{uuid.uuid4().hex[:8]}"
    print(f"Watch it live: {url}/?workload={workload}\n\n$ python examples/train_digits.py", flush=True)
    training = subprocess.run(
        [sys.executable, str(HERE / "train_digits.py")], env=environment(url, workload), check=False
    )
    if training.returncode:
        print(f"The training failed with exit code {training.returncode}; its message stands above.", file=sys.stderr)
        return 1
    api = f"{url}/api/v1/workloads/{workload}"
    arrived = show_what_arrived(api)
    if not arrived:
        print("Nothing arrived. `primus-lens-wandb check` tells what is wrong.", file=sys.stderr)
        return 1
    show_detection(api)
    print(f"\nJSONL file:  {OUTPUT / 'metrics' / 'node_0' / 'rank_0' / 'wandb_metrics.jsonl'}")
    if stay:
        print(f"Live page:   {url}/?workload={workload}")
        print(f"Query more:  {api}/metrics/data?data_source=wandb&metrics=all\nAPI docs:    {url}/api/docs")
        print("\nThe server stays up: Ctrl-C ends it.", flush=True)
        server.wait()
    else:
        command = Path(sys.executable).with_name("primus-lens-local")
        print(f"\nThe server ends now. To see the page, start it again: {command} serve --database {database}")
    return 0


def environment(url: str, workload: str) -> dict[str, str]:
    """What an operator sets; the script itself knows nothing of Lens."""
    return {
        **os.environ,
        "WORKLOAD_UID": workload,
        "PRIMUS_LENS_API_BASE_URL": f"{url}/api/v1",
        "PRIMUS_LENS_WANDB_OUTPUT_PATH": str(OUTPUT / "metrics"),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_DIR": str(OUTPUT),
    }


def show_what_arrived(api: str) -> bool:
    points = fetch(f"{api}/metrics/data", data_source="wandb", metrics="all")["data"]
    by_run: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for point in points:
        by_run.setdefault(point["run_id"], {}).setdefault(point["metric_name"], []).append(point)
    for run_id, metrics in by_run.items():
        print(f"\nArrived in Lens: run {run_id}, {sum(map(len, metrics.values()))} points of {len(metrics)} metrics\n")
        print(f"  {'metric':<24}{'points':>8}{'last step':>12}{'last value':>14}")
        for name, series in sorted(metrics.items()):
            last = max(series, key=lambda point: point["iteration"])
            print(f"  {name:<24}{len(series):>8}{last['iteration']:>12}{last['value']:>14.5g}")
    return bool(by_run)


def show_detection(api: str) -> None:
    detection = fetch(f"{api}/framework-detection")
    evidence = detection["evidence"]
    frameworks = [detection["wrapper_framework"], detection["base_framework"]]
    packages = evidence["software"].get("packages", {})
    print(f"\nDetected: {' on '.join(filter(None, frameworks)) or 'no framework'}, {describe_hardware(evidence)}")
    print("Packages: " + ", ".join(f"{name} {version}" for name, version in sorted(packages.items())))


def describe_hardware(evidence: dict[str, Any]) -> str:
    hardware = evidence.get("hardware", {})
    count = hardware.get("gpu_count", 0)
    return f"{count} × {hardware.get('gpu_name') or hardware.get('gpu_arch')}" if count else "no GPU"


def fetch(url: str, **parameters: str) -> Any:
    answer = requests.get(url, params=parameters, timeout=30)
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    sys.exit(main())
