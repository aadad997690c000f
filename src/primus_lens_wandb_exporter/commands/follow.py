"""``primus-lens-wandb sync --follow``: delivers what jobs have left behind, on and on, and leaves living ones alone.

A round looks at names, sizes and times of files. Only what has changed, and whose writers have ended, is opened.
"""

import os
import signal
import time
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ..owned_files import OwnedFiles
from .delivery import Session
from .destination import Targets
from .finding import find_sources
from .follow_log import FollowLog
from .groups import Group, make_groups
from .syncing import Outcome, Syncing
from .watched import Watch

INTERVAL_S = 15.0
# While a server is away the rounds become rarer.
LONGEST_INTERVAL_S = 60.0
# It ends between two requests, and has to before Kubernetes kills what does not end within 30 s.
REQUEST_LIMIT_S = 20.0
# What Lens has refused, or nobody can open, is looked at again when it changes, and rarely without that.
_FIRST_RETRY_S = 60.0
_LONGEST_RETRY_S = 3600.0
_ENDING = (signal.SIGTERM, signal.SIGINT)


def follow(
    root: str, mirror_path: Optional[str], targets: Sequence[Targets], workload_uid: Optional[str], trusts_owners: bool
) -> int:
    """Goes on until SIGTERM or SIGINT, and returns the exit status."""
    # Blocked signals wait until they are asked for: nothing is cut off half-way, and no handler runs in the middle.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    log = FollowLog()
    log.line("following %s" % root)
    sessions = [
        Session(log, one, workload_uid, patience_s=0.0, request_limit_s=REQUEST_LIMIT_S, is_ending=_is_ending)
        for one in targets
    ]
    follower = Follower(root, mirror_path, sessions, log, trusts_owners)
    while not _is_ending():
        try:
            wait_s = follower.round()
        except BrokenPipeError:
            # Nobody reads what we print.
            raise
        except Exception as error:
            log.line("a round ended in an internal error, please report it: %s: %s" % (type(error).__name__, error))
            wait_s = LONGEST_INTERVAL_S
        if signal.sigtimedwait(_ENDING, wait_s) is not None:
            break
    log.line("ended")
    return 0


def _is_ending() -> bool:
    return not signal.sigpending().isdisjoint(_ENDING)


class _Retry(NamedTuple):
    at: float
    after_s: float


class Follower:
    """What is remembered from round to round."""

    def __init__(
        self,
        root: str,
        mirror_path: Optional[str],
        sessions: Sequence[Session],
        log: FollowLog,
        trusts_owners: bool,
    ) -> None:
        self._roots = [root]
        if mirror_path and not _is_below(mirror_path, root):
            self._roots.append(mirror_path)
        self._targets = [session.targets for session in sessions]
        self._syncings = [Syncing(session) for session in sessions]
        self._log = log
        self._trusts_owners = trusts_owners
        self._watch = Watch(trusts_owners)
        self._retries: Dict[str, _Retry] = {}
        self._interval_s = INTERVAL_S

    def round(self) -> float:
        """Delivers what there is; returns in how many seconds to look again."""
        for targets in self._targets:
            targets.given_up.clear()
        self._log.begin_round()
        due = {path for path in self._look() if not self._is_put_off(path)}
        if due:
            for group in make_groups(*self._watch.files(), self._trusts_owners):
                if not due.isdisjoint(group.paths) and not any(map(self._watch.is_restless, group.paths)):
                    self._sync(group, due)
                if _is_ending():
                    break
        is_away = self._log.end_round()
        self._interval_s = min(self._interval_s * 2, LONGEST_INTERVAL_S) if is_away else INTERVAL_S
        return self._interval_s

    def _look(self) -> Set[str]:
        """What it is time to deliver from."""
        mirrors: List[Tuple[str, OwnedFiles]] = []
        run_files: List[Tuple[str, OwnedFiles]] = []
        for root in self._roots:
            files = OwnedFiles(root, any_owner=self._trusts_owners)
            found = find_sources(root)
            mirrors += [(path, files) for path in found.mirrors]
            # Of a folder for mirrors nothing else is wanted.
            run_files += [(path, files) for path in found.wandb_files if root == self._roots[0]]
            self._log.title(root)
            for failure in found.failures:
                self._log.warning("%s" % failure)
        due = self._watch.look(mirrors, run_files)
        known = self._watch.paths
        self._log.forget_all_but(known.union(self._roots))
        self._retries = {path: retry for path, retry in self._retries.items() if path in known}
        return due

    def _is_put_off(self, path: str) -> bool:
        retry = self._retries.get(path)
        return retry is not None and time.monotonic() < retry.at

    def _sync(self, group: Group, due: Set[str]) -> None:
        outcomes: Dict[str, Outcome] = {}
        for syncing in self._syncings:
            for path, outcome in syncing.sync(group, due.__contains__).items():
                outcomes[path] = outcome.beside(outcomes[path]) if path in outcomes else outcome
        for path, outcome in outcomes.items():
            if outcome.is_whole and outcome.is_final:
                self._retries.pop(path, None)
                self._watch.settle(path)
            elif not outcome.is_soon:
                self._put_off(path)

    def _put_off(self, path: str) -> None:
        known = self._retries.get(path)
        after_s = min(known.after_s * 2, _LONGEST_RETRY_S) if known else _FIRST_RETRY_S
        self._retries[path] = _Retry(time.monotonic() + after_s, after_s)


def _is_below(path: str, folder: str) -> bool:
    return (os.path.realpath(path) + os.sep).startswith(os.path.join(os.path.realpath(folder), ""))
