"""What the files of one run know of each other, so that a value which stands in two of them is sent once.

A mirror and wandb's own file belong together when the mirror's introduction of the run names the file's folder, or
names none, as those of older versions, and when both belong to the same user.
"""

import itertools
import os
from typing import Dict, Iterable, List, Optional, Tuple

from ..records import MetricsRecord, Number
from .ledger import Introduction, Ledger
from .steps_by_name import StepsByName

# A run, and the folder of wandb's file; an empty one stands for all files of the run.
FileKey = Tuple[str, str]


class MirroredRun:
    """What mirrors hold of the run of one file."""

    def __init__(self) -> None:
        self.steps = StepsByName()
        self.summary: Dict[str, Number] = {}
        # Who the run was, by the first mirror that tells.
        self.introductions: List[Introduction] = []
        self.ledgers: List[Ledger] = []
        self.is_left_to_the_job = False


class KnownRuns:
    """Filled while the mirrors of some runs are read, and asked when wandb's files of these runs are."""

    def __init__(self, run_ids: Iterable[str] = ()) -> None:
        self._run_ids = frozenset(run_ids)
        # Files of runs that ledgers name and that are no more, by the run.
        self.gone: Dict[str, str] = {}
        self._mirrored: Dict[FileKey, MirroredRun] = {}
        # What has been delivered from wandb's files, in a command that knew of no mirror.
        self._delivered: Dict[FileKey, StepsByName] = {}

    def wants(self, run_id: str) -> bool:
        return run_id in self._run_ids

    def mirrored(self, key: FileKey) -> MirroredRun:
        found = self._mirrored.get(key)
        if found is None:
            found = self._mirrored[key] = MirroredRun()
        return found

    def mirrored_of_file(self, key: FileKey) -> List[MirroredRun]:
        """What concerns the file of this folder, that of introductions without a folder included."""
        keys = (key, (key[0], ""))
        return [self._mirrored[one] for one in keys if one in self._mirrored]

    def introduction_of(self, key: FileKey) -> Optional[Introduction]:
        """Who the run of this file was, by the mirrors of the file, else by those of other files of the run.

        One that tells the workload comes before one that does not.
        """
        others = (found for (run_id, _), found in self._mirrored.items() if run_id == key[0])
        found = [who for one in itertools.chain(self.mirrored_of_file(key), others) for who in one.introductions]
        return next((who for who in found if who.identity.is_known), found[0] if found else None)

    def delivered(self, key: FileKey) -> StepsByName:
        return self._delivered.setdefault(key, StepsByName())

    def note_call(self, key: FileKey, record: MetricsRecord) -> None:
        """A line of a mirror that has a step, as Lens gets it."""
        found = self.mirrored(key)
        if record.kind:
            found.summary.update(record.metrics)
        elif record.step is not None:
            found.steps.add(record.step, record.metrics)

    def without_delivered(self, key: FileKey, record: MetricsRecord) -> MetricsRecord:
        """The call without what wandb's file has delivered of it."""
        if record.kind or record.step is None or not self._delivered:
            return record
        metrics = record.metrics
        keys = [key] if key[1] else [one for one in self._delivered if one[0] == key[0]]
        for one in keys:
            if one in self._delivered:
                metrics = self._delivered[one].without(record.step, metrics)
        return record if metrics is record.metrics else record._replace(metrics=metrics)


def folder_of(path: str) -> str:
    """The folder of a wandb file, by which the file is known as a writer."""
    return os.path.basename(os.path.dirname(path))
