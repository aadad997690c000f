"""Which values of a run are known: the steps of each name, in little memory."""

from typing import Dict, Iterable

from ..records import Number
from ..step_set import StepSet


class StepsByName:
    def __init__(self) -> None:
        self._steps: Dict[str, StepSet] = {}

    def add(self, step: int, names: Iterable[str]) -> None:
        for name in names:
            steps = self._steps.get(name)
            if steps is None:
                steps = self._steps[name] = StepSet()
            steps.add(step)

    def has(self, step: int, name: str) -> bool:
        steps = self._steps.get(name)
        return steps is not None and step in steps

    def has_name(self, name: str) -> bool:
        return name in self._steps

    def without(self, step: int, metrics: Dict[str, Number]) -> Dict[str, Number]:
        """The metrics of a step that are not among these values."""
        if not self._steps:
            return metrics
        return {name: value for name, value in metrics.items() if not self.has(step, name)}

    def update(self, other: "StepsByName") -> None:
        for name, steps in other._steps.items():
            known = self._steps.get(name)
            if known is None:
                self._steps[name] = steps
            else:
                known.update(steps)
