"""Tiny real trainings, each through its framework's own wandb integration: all metrics, right steps, right framework.

They need frameworks of several gigabytes, so they run where these are installed: `make frameworks`.
"""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from ..support.arrivals import assert_all_arrived
from ..support.faults import FaultyLens
from ..support.training import Trainer
from ..support.wandb_file import scalars
from .transformers_training import TRANSFORMERS

pytestmark = pytest.mark.frameworks

LIGHTNING = """
import lightning.pytorch as pl, torch
from lightning.pytorch.loggers import WandbLogger

class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, index):
        loss = (self.layer(batch[0]) - batch[1]).pow(2).mean()
        self.log("train/loss", loss)
        return loss
    def validation_step(self, batch, index):
        self.log("val/loss", (self.layer(batch[0]) - batch[1]).pow(2).mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)

examples = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randn(64, 1))
data = torch.utils.data.DataLoader(examples, batch_size=8)
trainer = pl.Trainer(max_epochs=3, logger=WandbLogger(project="p"), log_every_n_steps=2, accelerator="cpu",
                     enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False)
trainer.fit(Model(), data, data)
"""

ACCELERATE = """
import torch
from accelerate import Accelerator

accelerator = Accelerator(log_with="wandb", cpu=True)
accelerator.init_trackers("p", config={"lr": 0.1})
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model, optimizer = accelerator.prepare(model, optimizer)
for step in range(20):
    loss = model(torch.randn(8, 4)).pow(2).mean()
    accelerator.backward(loss)
    optimizer.step()
    optimizer.zero_grad()
    accelerator.log({"loss": loss, "lr": 0.1}, step=step)
accelerator.end_training()
"""

KERAS = """
import keras, numpy as np, wandb
from wandb.integration.keras import WandbMetricsLogger

wandb.init(project="p")
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
x, y = np.random.rand(64, 4), np.random.rand(64, 1)
model.fit(x, y, validation_data=(x, y), epochs=3, batch_size=8, verbose=0, callbacks=[WandbMetricsLogger(log_freq=2)])
wandb.finish()
"""

JAX = """
import jax, jax.numpy as jnp, wandb

run = wandb.init(project="p")
weights = jnp.ones(4)
loss_of = jax.jit(jax.value_and_grad(lambda w, x: ((x @ w) ** 2).mean()))
for step in range(20):
    loss, gradient = loss_of(weights, jnp.ones((8, 4)))
    weights = weights - 0.01 * gradient
    run.log({"loss": loss, "norm": jnp.linalg.norm(gradient), "gradient": gradient, "half": loss.astype(jnp.bfloat16)})
run.finish()
"""

TENSORFLOW = """
import tensorflow as tf, wandb

run = wandb.init(project="p")
weight = tf.Variable([[1.0]])
for step in range(20):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((tf.ones((8, 1)) @ weight) ** 2)
    weight.assign_sub(0.1 * tape.gradient(loss, weight))
    wandb.log({"loss": loss, "weight": weight.numpy(), "twice": 2 * loss}, step=step)
run.finish()
"""

PYTORCH = """
import torch, wandb

run = wandb.init(project="p")
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(20):
    loss = model(torch.randn(8, 4)).pow(2).mean()
    loss.backward(); optimizer.step(); optimizer.zero_grad()
    wandb.log({"loss": loss, "detached": loss.detach(), "half": loss.bfloat16(), "many": torch.ones(3)}, commit=False)
    wandb.log({"one": torch.ones(1), "nested": {"loss": loss}})
run.finish()
"""

# framework -> (the distribution that must be installed, script, environment, wrapper, base)
TRAININGS: dict[str, tuple[str, str, dict[str, str], list[str], list[str]]] = {
    "Lightning": ("lightning", LIGHTNING, {}, ["lightning"], ["pytorch"]),
    "Hugging Face Trainer": ("transformers", TRANSFORMERS, {}, ["transformers_trainer"], ["transformers"]),
    "accelerate": ("accelerate", ACCELERATE, {}, ["accelerate"], ["pytorch"]),
    "Keras on TensorFlow": ("tensorflow_cpu", KERAS, {"KERAS_BACKEND": "tensorflow"}, ["keras"], ["tensorflow"]),
    "Keras on JAX": ("keras", KERAS, {"KERAS_BACKEND": "jax"}, ["keras"], ["jax"]),
    "JAX": ("jax", JAX, {}, [], ["jax"]),
    "TensorFlow": ("tensorflow_cpu", TENSORFLOW, {}, [], ["tensorflow"]),
    "PyTorch": ("torch", PYTORCH, {}, [], ["pytorch"]),
}


@pytest.fixture(scope="module")
def installed(training_python: str) -> set[str]:
    code = "import importlib.metadata as m; print(*(d.metadata['Name'].replace('-', '_') for d in m.distributions()))"
    return set(subprocess.run([training_python, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("name", TRAININGS)
def test_all_metrics_at_the_right_steps_of_the_right_framework(
    name: str, installed: set[str], faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    distribution, script, variables, wrapper, base = TRAININGS[name]
    if distribution not in installed:
        pytest.skip(f"{distribution} is not installed in the environment that trains; `make frameworks` makes one")
    offline = {"HF_HUB_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    training = faulty_trainer.run(script, timeout=240, **offline, **variables)

    assert scalars(training.history)
    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert "Primus Lens" not in training.stderr
    hints: list[dict[str, Any]] = [body["hints"] for body in faulty.detections]
    assert 1 <= len(hints) <= 2
    assert (hints[-1]["wrapper_frameworks"], hints[-1]["base_frameworks"]) == (wrapper, base)
    assert hints[-1]["confidence"] == "high"
