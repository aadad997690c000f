"""A process waits for all its flushes, and for reading wandb's own file, no longer than one deadline."""

from __future__ import annotations

import time

from primus_lens_wandb_exporter.exporter import FlushBudget


def test_work_in_vain_uses_up_the_budget() -> None:
    budget = FlushBudget(1.0)

    def work(until: float) -> bool:
        assert 0.9 < until - time.monotonic() <= 1.0
        time.sleep(0.3)
        return False

    assert not budget.spend_on(work)
    assert budget.left <= 0.7


def test_work_that_is_done_costs_nothing() -> None:
    budget = FlushBudget(1.0)

    assert budget.spend_on(lambda until: time.sleep(0.1) or True)
    assert budget.left == 1.0


def test_work_is_granted_a_moment_when_nothing_is_left() -> None:
    budget = FlushBudget(0.0)
    granted = []

    assert not budget.spend_on(lambda until: bool(granted.append(until - time.monotonic())))
    assert 0.3 < granted[0] <= 0.5
