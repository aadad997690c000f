"""One request body and what it stands for."""

from typing import List, Tuple

from ..records import Run


class Request:
    """What is sent at once, and answered at once. Without metrics it tells of a run."""

    __slots__ = (
        "body",
        "earlier_parts",
        "failures",
        "failures_after_deliveries",
        "is_delivered",
        "metric_count",
        "path",
        "run",
        "sequences",
    )

    def __init__(self, path: str, body: bytes, metric_count: int, run: Run, sequences: List[int]) -> None:
        self.path = path
        self.body = body
        # How many logged metrics it accounts for: a value that was logged again in its step is sent once.
        self.metric_count = metric_count
        self.run = run
        self.sequences = sequences
        # Requests that hold the beginning of a step which ends in this one: its calls are delivered with all of them.
        self.earlier_parts: "Tuple[Request, ...]" = ()
        self.is_delivered = False
        self.failures = 0
        self.failures_after_deliveries = 0
