"""Where records go: each sink takes records and knows nothing of wandb, queues or threads."""

from typing import TYPE_CHECKING, List, NamedTuple, Optional

from ..records import Record, Run

if TYPE_CHECKING:
    from typing import Protocol
else:
    # typing.Protocol came with Python 3.8; only the type checker needs it.
    Protocol = object


class Counters(NamedTuple):
    """What became of what a sink was given; Lens counts metrics, the file counts calls.

    received = delivered + rejected + dropped + pending.
    """

    received: int = 0
    delivered: int = 0
    rejected: int = 0
    dropped: int = 0
    pending: int = 0


class Sink(Protocol):
    """Where records go. All methods but the first three run on one thread at a time, as a rule the sink's own."""

    name: str
    # Whether each record is wanted soon, because what the sink has done with it outlives the process.
    is_prompt: bool

    @property
    def delivered(self) -> int: ...

    @property
    def rejected(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    def destination(self, run: Run) -> str:
        """Where the records of this run go, for a person to read."""

    def takes_run(self, run: Run) -> bool:
        """Whether the records of this run are for this sink. Runs on the training thread: no I/O, no waiting."""

    def weigh(self, record: Record) -> Optional[int]:
        """For how much the record counts; None when it is not for this sink, which one with metrics always is.

        Runs on any thread; the answer for a record is always the same.
        """

    def accept(self, records: List[Record]) -> None:
        """Takes records over; from now on they are the sink's to count."""

    def work(self, urgent: bool, time_limit_s: Optional[float] = None) -> Optional[float]:
        """Does what is due, at most one blocking request; ``urgent`` makes everything due.

        Returns in how many seconds it wants to be called again, None when nothing is waiting.
        """

    def pending(self) -> int:
        """How much of what was accepted is neither delivered, rejected nor dropped."""

    def work_done(self) -> int:
        """A count that grows with everything that is settled, also with what the counters leave out."""

    def work_left(self) -> int:
        """How much more `work_done` grows until everything accepted so far is settled."""

    def reset_after_fork(self) -> None:
        """Forgets everything that the parent process goes on to deliver."""
