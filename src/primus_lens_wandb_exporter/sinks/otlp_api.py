"""What an OpenTelemetry backend gets: every number of every run at its own time, and what is known of the run."""

import random
from typing import Callable, List, Optional

from .. import diagnostics, fork_safety
from ..records import DetectionRecord, MetricsRecord, Record, Run, numbers_of
from ..summary_names import SummaryNames
from .delivery_ledger import OTLP
from .otlp_attributes import config_entries, info_attributes
from .otlp_batches import OtlpBatcher
from .otlp_client import OtlpClient
from .otlp_settings import OtlpSettings
from .sending import SendingSink


class OtlpSink(SendingSink):
    """Delivers by OTLP over HTTP."""

    name = OTLP
    title = "OpenTelemetry"
    _batcher: OtlpBatcher

    def __init__(
        self,
        settings: OtlpSettings,
        flush_interval_s: float,
        capacity_bytes: float,
        acknowledge: Callable[[Run, List[int]], None] = lambda run, sequences: None,
    ) -> None:
        super().__init__(
            OtlpClient(settings),
            lambda: OtlpBatcher(settings, flush_interval_s * random.uniform(0.8, 1.0)),
            capacity_bytes,
            acknowledge,
        )

    def reset_after_fork(self) -> None:
        super().reset_after_fork()
        self._summary_names = SummaryNames()

    @property
    def is_off(self) -> bool:
        return self._batcher.is_broken

    def takes_run(self, run: Run) -> bool:
        return True

    def weigh(self, record: Record) -> Optional[int]:
        if isinstance(record, MetricsRecord):
            return len(numbers_of(record)) or None
        return 0

    def _prepare(self, record: MetricsRecord) -> MetricsRecord:
        if record.data is not record.metrics:
            record = record._replace(metrics=numbers_of(record))
        return self._summary_names.apply(record)

    def _accept_message(self, record: DetectionRecord) -> None:
        encoding = self._batcher.load()
        if encoding is None:
            return
        try:
            with fork_safety.importing():
                detection = record.make_body()
        except Exception as error:  # the metrics beside it must not suffer
            diagnostics.report_failure("detecting the framework", error)
            return
        attributes, config = info_attributes(detection), config_entries(detection)
        body = encoding.encode_info(self._batcher.resource(record.run), detection["timestamp"], attributes, config)
        self._send_message("", body, record.run)
