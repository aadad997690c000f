"""Many senders at once, each with a connection of its own, as fast as the server answers or at a given rate.

Prints "sending", and then a result as JSON.

Bodies are made before the clock starts: what is measured is the server, not this script.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

STEP_TIME_MS = 50


def value_of(step: int, index: int) -> float:
    """The value every metric must come back with."""
    return step + index / 8


def body_of(workload: str, run: str, steps: range, names: list[str]) -> bytes:
    """A request as the exporter makes it: whole steps of one run."""
    metrics = [
        {
            "name": name,
            "value": value_of(step, index),
            "step": step,
            "timestamp": 1_700_000_000 + step * STEP_TIME_MS / 1000,
            "tags": {},
        }
        for step in steps
        for index, name in enumerate(names)
    ]
    ids = {"source": "wandb", "workload_uid": workload, "pod_uid": "u", "pod_name": run, "run_id": run}
    return json.dumps({**ids, "metrics": metrics, "timestamp": 1_700_000_000.0}).encode()


async def send(port: int, bodies: list[bytes], waits: list[float], first_at: float, every: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number, body in enumerate(bodies):
        await asyncio.sleep(first_at + number * every - time.perf_counter())
        began = time.perf_counter()
        head = f"POST /api/v1/wandb/metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        (length,) = [line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        await reader.readexactly(int(length.split(b":")[1]))
        assert answer.startswith(b"HTTP/1.1 200"), answer
        waits.append(time.perf_counter() - began)
    writer.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("port", "senders", "metrics_per_step", "steps_per_request", "requests"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--metrics_per_s", type=int, default=0, help="of all together; as fast as possible without")
    options = parser.parse_args()
    names = [f"train/metric_{index}" for index in range(options.metrics_per_step)]
    per_request = options.steps_per_request
    all_bodies = [
        [
            body_of(options.workload, f"run-{sender}", range(i * per_request, (i + 1) * per_request), names)
            for i in range(options.requests)
        ]
        for sender in range(options.senders)
    ]
    waits: list[float] = []
    print("sending", flush=True)
    began = time.perf_counter()
    in_a_round = options.senders * per_request * len(names)
    every = in_a_round / options.metrics_per_s if options.metrics_per_s else 0.0
    sending = [
        send(options.port, bodies, waits, began + every * sender / options.senders, every)
        for sender, bodies in enumerate(all_bodies)
    ]
    await asyncio.gather(*sending)
    seconds = time.perf_counter() - began
    waits.sort()
    metrics = options.senders * options.requests * per_request * len(names)
    result: dict[str, Any] = {
        "metrics": metrics,
        "seconds": seconds,
        "metrics_per_s": metrics / seconds,
        "requests_per_s": len(waits) / seconds,
        "answer_ms": {"median": waits[len(waits) // 2] * 1000, "p99": waits[int(len(waits) * 0.99)] * 1000},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
