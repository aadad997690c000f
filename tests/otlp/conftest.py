from __future__ import annotations

from typing import Iterator

import pytest

from ..support.otlp_receiver import OtlpReceiver, running_receiver
from ..support.training import Trainer


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with running_receiver() as server:
        yield server


@pytest.fixture
def otlp_trainer(trainer: Trainer, receiver: OtlpReceiver) -> Trainer:
    """Trains with OpenTelemetry as the only server."""
    trainer.variables = {
        "PRIMUS_LENS_WANDB_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
        "PRIMUS_LENS_WANDB_API_REPORTING": "false",
    }
    return trainer
