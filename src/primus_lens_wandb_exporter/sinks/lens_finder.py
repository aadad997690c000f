"""Which address of Lens is in use: the user's, the same under the other prefix, or a known one where a Lens answers."""

import random
import time
from typing import Callable, NamedTuple, Optional, Sequence, Tuple

from .. import diagnostics
from ..diagnostics import redact_addresses
from .answers import Answer
from .lens_address import (
    KNOWN_ADDRESSES,
    LENS,
    NOT_LENS,
    PROBE_LIMIT_S,
    REFUSED,
    UNREACHABLE,
    ProbeResult,
    siblings,
)

# All processes of a job look for Lens: where there is none, the name server must not suffer.
LONGEST_PAUSE_S = 300.0
_FIRST_PAUSE_S = 1.0

# Asks what is at an address, for at most so many seconds.
Probe = Callable[[str, float], ProbeResult]


class _Attempt(NamedTuple):
    address: str
    found: ProbeResult

    @property
    def closeness(self) -> Tuple[int, bool]:
        """Of more attempts that failed, the trouble of the one that came closest is told."""
        return (UNREACHABLE, NOT_LENS, REFUSED).index(self.found.kind), "is not known" not in self.found.trouble


class LensFinder:
    """Looks for Lens at ``base_url``, or, where it is empty, at the ``known`` addresses, one after the other."""

    def __init__(self, base_url: str, probe: Probe, known: Sequence[str] = KNOWN_ADDRESSES) -> None:
        # Empty as long as nobody named one and none was found.
        self.address = base_url
        self._is_users = bool(base_url)
        self._probe = probe
        self._known = known
        self._failures = 0

    @property
    def address_for_people(self) -> str:
        return redact_addresses(self.address) or "its known addresses (%s first)" % self._known[0]

    def find(self, ends_at: float) -> Optional[Answer]:
        """Has an address in use when it returns None, else says why not; asks until a time of the monotonic clock."""
        if self.address:
            return None
        attempts = []
        for address in self._known:
            limit_s = min(PROBE_LIMIT_S, ends_at - time.monotonic())
            if limit_s <= 0:
                break
            found = self._probe(address, limit_s)
            if found.kind == LENS:
                self._use(address)
                return None
            attempts.append(_Attempt(address, found))
        else:
            self._failures += 1
        return self._nowhere(attempts)

    def find_sibling(self, answer: Answer, ends_at: float) -> Optional[Answer]:
        """As `find`, after an ``answer`` of something that is no Lens, at the address that is in use."""
        if not self._is_users:
            self.address = ""
            return self.find(ends_at)
        for address in siblings(self.address):
            limit_s = min(PROBE_LIMIT_S, ends_at - time.monotonic())
            found = self._probe(address, limit_s) if limit_s > 0 else ProbeResult(UNREACHABLE)
            if found.kind == LENS:
                self._use(address)
                return None
            if found.kind == REFUSED:
                reason = "%s; at %s: %s" % (answer.reason, redact_addresses(address), found.trouble)
                return answer._replace(reason=reason, next_step=found.next_step)
        return answer

    def _use(self, address: str) -> None:
        self.address = address
        self._failures = 0
        diagnostics.debug("Lens is found at %s", redact_addresses(address))

    def _nowhere(self, attempts: Sequence[_Attempt]) -> Answer:
        if not attempts:
            return Answer(delivered=False, retry=True, reason="no time was left to look for it")
        address, found = max(attempts, key=lambda attempt: attempt.closeness)
        next_step = "set PRIMUS_LENS_API_BASE_URL to the address of Lens"
        if found.kind == REFUSED:
            # A token that went to whoever has this name in some network would be anybody's.
            next_step = (
                "set PRIMUS_LENS_API_BASE_URL=%s and PRIMUS_LENS_API_TOKEN, if this is your Lens: a token goes only to "
                "an address that is set" % address
            )
        pause_s = min(LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(self._failures, 10))
        return Answer(
            delivered=False,
            retry=True,
            needs_a_person=found.kind != UNREACHABLE,
            retry_after_s=random.uniform(pause_s / 2, pause_s),
            reason="%s: %s" % (address, found.trouble),
            next_step=next_step,
        )
