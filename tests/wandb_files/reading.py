"""Prints what our reader finds in ``.wandb`` files, as JSON. Runs on every Python that the exporter runs on."""

import json
import sys
from typing import Any, Dict

from primus_lens_wandb_exporter.sources.wandb_file import Telemetry, WandbFile


def read(path: str) -> Dict[str, Any]:
    with open(path, "rb") as file:
        reader = WandbFile(file)
        # The libraries that wandb noted are as many as the machine has, and no part of the truth.
        events = [
            [type(event).__name__, event._asdict()] for event in reader.read() if not isinstance(event, Telemetry)
        ]
    return {"events": events, "damaged": reader.damaged}


if __name__ == "__main__":
    print(json.dumps({path: read(path) for path in sys.argv[1:]}))
