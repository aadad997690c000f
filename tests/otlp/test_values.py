"""What an OTLP server gets is what wandb recorded: every number, at the time of its call, for each step."""

from __future__ import annotations

from ..support.otlp_receiver import OtlpReceiver
from ..support.training import Trainer


def test_every_value_arrives_at_the_time_of_its_call(receiver: OtlpReceiver, otlp_trainer: Trainer) -> None:
    training = otlp_trainer.run(
        """
        import wandb
        run = wandb.init(project="p")
        for i in range(2000):
            run.log({"train/loss": 1 / (i + 1), "epoch": i // 100})
        run.finish()
        """
    )

    expected = {(step, name): [value] for step, row in training.history.items() for name, value in row.items()}
    assert len(expected) == 4000
    assert receiver.history() == expected
    mirrored = {(line["sequence"], round(line["timestamp"] * 1e6) * 1000) for line in training.calls()}
    times = sorted(point.time_ns for point in receiver.points() if point.name == "epoch")
    assert times == sorted(time_ns for _, time_ns in mirrored)
