"""What `Delivery` needs of a file that it delivers from: a mirror, or wandb's own file of a run."""

from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional

from ..records import MetricsRecord, Run
from ..sinks.delivery_ledger import DeliveryLedger
from ..sinks.request import Request
from .ledger import Ledger
from .report import Report

if TYPE_CHECKING:
    from typing import Protocol
else:
    # typing.Protocol came with Python 3.8; only the type checker needs it.
    Protocol = object


# Under this number it is noted that a destination was told of a run: no row has it.
DETECTION_SEQUENCE = 1 << 62


class Source(Protocol):
    """``path`` is the file, ``ledger`` what stands beside it."""

    path: str
    ledger: Ledger

    @property
    def is_complete(self) -> bool:
        """Whether `missing` told all that the file holds; else there is more when it has rested for a while, or its
        job has ended. What a mirror's living writers left to themselves is theirs."""

    def missing(self) -> Iterator[MetricsRecord]:
        """What the destination lacks, with just the metrics to send. Each call reads the file anew, and counts anew."""

    def share_read(self) -> float:
        """How far `missing` has come, from 0.0 to 1.0."""

    def untold_run(self) -> Optional[Run]:
        """The run of which the destination has not been told, when `missing` has come to its end; None for none."""

    def detection(self, run: Run) -> Dict[str, Any]:
        """What is to be told of such a run, as the body of ``POST /wandb/detection``."""

    def note(self, ledger: DeliveryLedger, request: Request) -> None:
        """Notes that the destination has taken a request; raises OSError."""

    def address_of(self, run: Run) -> str:
        """The address that a file names for a run; empty where none does."""

    def addresses(self) -> Iterable[str]:
        """All the addresses that a file names."""

    def announce(self, report: Report, workload_uid: Optional[str]) -> None:
        """Says what a person should know before anything is sent; ``workload_uid`` is the one that the user named."""

    def say_passed_over(self, report: Report) -> None:
        """Says what could not be read, and what was left to others."""


def last_values(calls: List[MetricsRecord]) -> List[MetricsRecord]:
    """The calls of one step in their order, each without the names that a later one of them has logged again.

    Who has one value for a step keeps the one that came last: an older one must not follow a newer one.
    """
    if len(calls) == 1:
        return calls
    seen: "set[str]" = set()
    found = []
    for record in reversed(calls):
        metrics = {name: value for name, value in record.metrics.items() if name not in seen}
        seen.update(metrics)
        found.append(record._replace(metrics=metrics))
    return found[::-1]
