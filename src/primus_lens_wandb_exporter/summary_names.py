"""Under which name a value of a run's summary goes to Lens, where history and summary share one space of names."""

from collections import OrderedDict
from typing import Dict, Iterable, Set

from .records import SUMMARY, MetricsRecord, Number

PREFIX = "summary/"
# Summaries of runs that have long ended do not change.
_MOST_RUNS = 16


class SummaryNames:
    """A name that the run also logs to its history keeps its history: then the summary's is ``summary/<name>``."""

    def __init__(self) -> None:
        self._logged: "OrderedDict[str, Set[str]]" = OrderedDict()

    def note_history(self, run_id: str, names: Iterable[str]) -> None:
        logged = self._logged.get(run_id)
        if logged is None:
            logged = self._logged[run_id] = set()
            while len(self._logged) > _MOST_RUNS:
                self._logged.popitem(last=False)
        logged.update(names)

    def resolve(self, run_id: str, metrics: Dict[str, Number]) -> Dict[str, Number]:
        """The metrics of a summary under the names that they have in Lens."""
        logged = self._logged.get(run_id)
        if not logged or logged.isdisjoint(metrics):
            return metrics
        return {PREFIX + name if name in logged else name: value for name, value in metrics.items()}

    def apply(self, record: MetricsRecord) -> MetricsRecord:
        """Takes note of a record of history; renames what of a summary must be renamed."""
        if record.kind != SUMMARY:
            self.note_history(record.run.run_id, record.metrics)
            return record
        return record._replace(metrics=self.resolve(record.run.run_id, record.metrics))
