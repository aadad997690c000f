"""What the Lens telemetry-processor gets: metrics by whole steps, and a detection for each run."""

import json
import random
from typing import Callable, List, Optional

from .. import diagnostics, fork_safety
from ..records import DetectionRecord, MetricsRecord, Record, Run
from ..summary_names import SummaryNames
from .lens_batches import StepBatcher
from .lens_client import LensClient
from .sending import SendingSink

DETECTION_PATH = "/wandb/detection"
# For a longer one the server answers 500 to a detection; metrics may have twice as many.
LONGEST_WORKLOAD_UID_OF_DETECTION = 128


class LensSink(SendingSink):
    """Delivers to Lens what belongs to a workload that it can place."""

    name = "lens"
    title = "Lens"

    def __init__(
        self,
        client: LensClient,
        batch_size: int,
        flush_interval_s: float,
        capacity_bytes: float,
        acknowledge: Callable[[Run, List[int]], None] = lambda run, sequences: None,
    ) -> None:
        # Many processes start together: each has its own rhythm, so that they do not send together.
        super().__init__(
            client,
            lambda: StepBatcher(batch_size, flush_interval_s * random.uniform(0.8, 1.0)),
            capacity_bytes,
            acknowledge,
        )

    def reset_after_fork(self) -> None:
        super().reset_after_fork()
        self._summary_names = SummaryNames()

    def takes_run(self, run: Run) -> bool:
        """Whether Lens can place the run; says once what is missing when it cannot."""
        if not run.identity.is_known:
            diagnostics.warn_once(
                "no identity",
                "nothing is sent to Lens, because neither WORKLOAD_UID nor POD_NAME is set. Set WORKLOAD_UID to the "
                "uid of the workload in Lens, or PRIMUS_LENS_WANDB_API_REPORTING=false to silence this line",
            )
        return run.identity.is_known

    def weigh(self, record: Record) -> Optional[int]:
        if isinstance(record, MetricsRecord):
            return len(record.metrics) or None
        return 0

    def _prepare(self, record: MetricsRecord) -> MetricsRecord:
        return self._summary_names.apply(record)

    def _accept_message(self, record: DetectionRecord) -> None:
        workload_uid = record.run.identity.workload_uid
        if len(workload_uid) > LONGEST_WORKLOAD_UID_OF_DETECTION:
            diagnostics.warn_once(
                ("detection id", workload_uid),
                "Lens is not told what framework the run uses: WORKLOAD_UID has %d characters, and Lens stores at most "
                "%d with a framework. Its metrics are sent",
                len(workload_uid),
                LONGEST_WORKLOAD_UID_OF_DETECTION,
            )
            return
        try:
            with fork_safety.importing():
                body = record.make_body()
        except Exception as error:  # the metrics beside it must not suffer
            diagnostics.report_failure("detecting the framework", error)
            return
        hints = body["hints"]
        encoded = json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")
        self._send_message(DETECTION_PATH, encoded, record.run)
        diagnostics.debug(
            "✓ Detection data queued for reporting: frameworks %s, confidence %s",
            ", ".join(hints["possible_frameworks"]) or "none",
            hints["confidence"],
        )
