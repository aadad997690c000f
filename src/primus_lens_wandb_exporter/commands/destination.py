"""Destinations of a delivery: which values of a file each wants, what it knows already, and how it gets the rest."""

from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple, Set, Tuple

from ..identity import MAXIMUM_ID_LENGTH
from ..records import Number, Run, numbers_in
from ..sinks.delivery_ledger import LENS, OTLP
from ..sinks.lens_api import LONGEST_WORKLOAD_UID_OF_DETECTION
from ..sinks.sending import Batcher, Client

if TYPE_CHECKING:
    from typing import Protocol
else:
    # typing.Protocol came with Python 3.8; only the type checker needs it.
    Protocol = object


class Destination(NamedTuple):
    """``values_of`` makes of ``metrics`` and ``data`` of a record what goes there. ``name`` is that of the ledger."""

    name: str
    title: str
    # Whether a name that was logged again in its step counts with its last value alone.
    has_one_value_a_step: bool
    # Whether what belongs to no workload cannot go there.
    needs_workload: bool
    # Of a run of a workload with a longer uid nothing is told beside its values.
    longest_workload_uid: int
    values_of: Callable[[Dict[str, Number], Dict[str, Any]], Dict[str, Number]]


LENS_DESTINATION = Destination(
    LENS, "Lens", True, True, LONGEST_WORKLOAD_UID_OF_DETECTION, lambda metrics, data: metrics
)
OTLP_DESTINATION = Destination(
    OTLP, "OpenTelemetry", False, False, MAXIMUM_ID_LENGTH, lambda metrics, data: numbers_in(data)
)


class Target(NamedTuple):
    """An address and who named it; without ``is_users`` only a file did. Where nobody did it is empty: Lens is looked
    for at its known addresses."""

    address: str
    named_by: str
    is_users: bool = True


class Targets(Protocol):
    """The addresses of one destination in one command."""

    destination: Destination
    # Those for which some file has waited in vain: the others behind it do not wait again.
    given_up: Set[Target]

    def choose(self, address_in_file: str) -> Target:
        """Where that goes for which a file names this address, empty where it names none."""

    def client(self, target: Target) -> Client: ...

    def make_batcher(self) -> Batcher: ...

    def encode_detection(self, run: Run, detection: Dict[str, Any]) -> Tuple[str, bytes]:
        """Path and body of the request that tells of a run."""
