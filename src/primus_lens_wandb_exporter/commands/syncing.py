"""One file after the other, whatever one of them holds: opened, kept from a second sync, delivered, and told about."""

import contextlib
import errno
import fcntl
import os
from typing import BinaryIO, Callable, Dict, Iterator, List, NamedTuple, Tuple

from ..owned_files import OwnedFiles, RefusedError
from ..sinks.delivery_ledger import DeliveryLedger
from ..sources.record_log import NotARecordLogError
from .delivery import Delivery, Session
from .groups import Group, MirrorFile, RunFile
from .known_runs import KnownRuns
from .mirror import Mirror
from .source import Source
from .steps_by_name import StepsByName
from .wandb_run import WandbRun, writer_of

# The id of a run, and its workload where that is known.
_Run = Tuple[str, str]
_MakeSource = Callable[[BinaryIO, OwnedFiles], Source]


class Outcome(NamedTuple):
    """What came of a file."""

    # Whether all that could be delivered from it was.
    is_whole: bool
    # Whether waiting alone brings no more of it.
    is_final: bool = True
    # Whether all that it holds is known now.
    is_read: bool = True
    # Whether it is worth another try soon: a server did not answer, or another command is at work on the file.
    is_soon: bool = False

    def beside(self, other: "Outcome") -> "Outcome":
        """What came of the file for two destinations."""
        return Outcome(
            self.is_whole and other.is_whole,
            self.is_final and other.is_final,
            self.is_read and other.is_read,
            self.is_soon or other.is_soon,
        )


class Syncing:
    """Delivers groups of files that belong together to one destination."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._destination = session.targets.destination
        self._report = session.report

    def sync(self, group: Group, select: Callable[[str], bool] = lambda path: True) -> Dict[str, Outcome]:
        """What came of each file that was selected. A mirror that knows a selected file's run is always read."""
        known = KnownRuns([file.run_id for file in group.run_files] + [run_id for run_id, _ in group.gone])
        known.gone.update(group.gone)
        run_files = [file for file in group.run_files if select(file.path)]
        if group.mirrors:
            for file in group.run_files:
                self._note_delivered(file, known)
        outcomes: Dict[str, Outcome] = {}
        for mirror in group.mirrors:
            if run_files or select(mirror.path):
                outcomes[mirror.path] = self._sync_mirror(mirror, known)
        is_known = all(outcome.is_read for outcome in outcomes.values())
        files_of: Dict[_Run, List[RunFile]] = {}
        for file in group.run_files:
            files_of.setdefault(self._run_of(file, known), []).append(file)
        newer: Dict[Tuple[_Run, str], StepsByName] = {}
        for file in run_files:
            if is_known:
                run = self._run_of(file, known)
                # Where a step has many values, only a copy of a file holds the same ones.
                writer = "" if self._destination.has_one_value_a_step else writer_of(file.path)
                outcomes[file.path] = self._sync_run_file(
                    file, files_of[run], known, newer.setdefault((run, writer), StepsByName())
                )
            else:
                # What the mirror holds is not to be sent from here, and nobody knows all of it.
                self._report.title(file.path)
                self._report.waits("this file waits until the mirror of its run is delivered", "then run this again")
                outcomes[file.path] = Outcome(is_whole=False, is_soon=True)
        return outcomes

    def _sync_mirror(self, mirror: MirrorFile, known: KnownRuns) -> Outcome:
        return self._sync(
            mirror.path,
            mirror.files,
            lambda file, files: Mirror(mirror.path, file, files, known, self._destination),
            mirror.owner,
        )

    def _sync_run_file(self, file: RunFile, of_run: List[RunFile], known: KnownRuns, newer: StepsByName) -> Outcome:
        def make(opened: BinaryIO, files: OwnedFiles) -> Source:
            return WandbRun(
                file.path,
                opened,
                files,
                known,
                newer if len(of_run) > 1 else None,
                is_newest=file is of_run[0],
                destination=self._destination,
            )

        return self._sync(file.path, file.files, make, file.owner)

    def _run_of(self, file: RunFile, known: KnownRuns) -> _Run:
        """In Lens, two runs with one id are one only in the same workload."""
        who = known.introduction_of((file.run_id, writer_of(file.path)))
        # Pods change when a job starts again: they do not tell two workloads apart.
        return file.run_id, self._session.workload_uid or (who.identity.workload_uid if who else "")

    def _sync(self, path: str, files: OwnedFiles, make_source: _MakeSource, owner: int) -> Outcome:
        report = self._report
        report.title(path)
        failures = report.failures
        try:
            with self._open(path, files, owner) as (file, owned):
                if not self._lock(file):
                    return Outcome(is_whole=False, is_read=False, is_soon=True)
                source = make_source(file, owned)
                ledger = DeliveryLedger("", owned)
                with contextlib.closing(ledger):
                    delivery = Delivery(self._session, source, ledger)
                    delivery.count() if self._session.is_dry_run else delivery.deliver()
                if delivery.gave_up:
                    return Outcome(is_whole=False, is_read=False, is_soon=True)
                return Outcome(is_whole=report.failures == failures, is_final=source.is_complete)
        except BrokenPipeError:
            # Nobody reads what we print.
            raise
        except RefusedError as error:
            report.bad("%s; it is not opened" % error, _advice(error))
        except NotARecordLogError as error:
            report.bad("%s" % error, "look what it is; wandb's own files begin with :W&B")
        except OSError as error:
            report.bad("%s" % error, "make the file readable, and its directory writable")
        except Exception as error:
            report.bad(
                "this file ended in an internal error: %s: %s" % (type(error).__name__, error),
                "please report it; what was delivered is noted, and other files do not suffer",
            )
        return Outcome(is_whole=False, is_read=False)

    def _note_delivered(self, run_file: RunFile, known: KnownRuns) -> None:
        """What cannot be read is said when its turn comes."""
        with contextlib.suppress(OSError, ValueError), self._open(run_file.path, run_file.files, run_file.owner) as (
            file,
            owned,
        ):
            source = WandbRun(run_file.path, file, owned, known, destination=self._destination)
            if source.ledger.has_acknowledged((writer_of(run_file.path), run_file.run_id), self._destination.name):
                source.note_delivered()

    @contextlib.contextmanager
    def _open(self, path: str, files: OwnedFiles, owner: int) -> "Iterator[Tuple[BinaryIO, OwnedFiles]]":
        """The file, and the files that may stand beside it."""
        with os.fdopen(_open_for_lock(files, path), "rb") as file:
            if files.any_owner:
                found = os.fstat(file.fileno())
                if found.st_uid != owner:
                    # It was put together with the files of that user.
                    raise RefusedError(path, "has just changed its owner")
                files = files._replace(new_owner=(found.st_uid, found.st_gid))
            yield file, files

    def _lock(self, file: BinaryIO) -> bool:
        try:
            # Jobs take no lock on the file itself: this one keeps two syncs apart.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._report.waits("another sync is at work on this file", "wait for it to end")
            return False
        except OSError:
            self._report.warning("this file system has no locks: nothing keeps a second sync from working on this file")
        return True


def _open_for_lock(files: OwnedFiles, path: str) -> int:
    """For writing where that is allowed, although nothing is written: NFS grants the lock to such alone."""
    try:
        return files.open(path, os.O_RDWR)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return files.open(path, os.O_RDONLY)


def _advice(error: RefusedError) -> str:
    if error.is_foreign:
        return "run this as that user, or as root with --trust-owner"
    return "look who put it there; to deliver another file, name that one"
