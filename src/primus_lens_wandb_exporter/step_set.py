"""A set of steps that takes little memory: training logs steps in runs of neighbours or with a stride."""

from typing import Dict

_BITS = 10
_MASK = (1 << _BITS) - 1


class StepSet:
    """Whole numbers, 1,024 neighbours to one integer of bits: some 0.2 bytes for each of a million neighbours."""

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits: Dict[int, int] = {}

    def add(self, step: int) -> None:
        block = step >> _BITS
        self._bits[block] = self._bits.get(block, 0) | (1 << (step & _MASK))

    def __contains__(self, step: int) -> bool:
        return bool(self._bits.get(step >> _BITS, 0) >> (step & _MASK) & 1)

    def update(self, other: "StepSet") -> None:
        for block, bits in other._bits.items():
            self._bits[block] = self._bits.get(block, 0) | bits
