"""Frameworks whose values pass by `Run.log`: through TensorBoard's event files, the run's summary, worker processes."""

from __future__ import annotations

import subprocess

import pytest

from ..support.arrivals import arrivals, assert_all_arrived
from ..support.faults import FaultyLens
from ..support.training import Trainer
from ..support.wandb_file import scalars
from .transformers_training import TRANSFORMERS_WITH_REWARDS

pytestmark = pytest.mark.frameworks

STABLE_BASELINES = """
import wandb
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from wandb.integration.sb3 import WandbCallback

class Own(BaseCallback):
    def _on_step(self):
        self.logger.record("own/calls", self.n_calls)
        if self.n_calls % 32 == 0:
            wandb.log({"beside": self.n_calls}, step=self.num_timesteps)
        return True

for callback in (lambda: WandbCallback(gradient_save_freq=10), Own):
    run = wandb.init(project="p", sync_tensorboard=True, reinit=True)
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=32, n_epochs=2, tensorboard_log="runs/" + run.id)
    model.learn(total_timesteps=320, callback=callback())
    run.summary["last"] = model.num_timesteps
    run.finish()
"""

TORCH_WRITER = """
import torch, wandb
from torch.utils.tensorboard import SummaryWriter

run = wandb.init(project="p", sync_tensorboard=True)
writer = SummaryWriter("tb")
for i in range(20):
    writer.add_scalar("train/loss", 1 / (i + 1), i)
    writer.add_scalar("half", torch.tensor(0.5).bfloat16(), i * 2)
    writer.add_histogram("weights", torch.randn(10), i)
    writer.add_text("text", "words", i)
    run.log({"mine": torch.tensor(i)}, step=i * 5)
writer.close()
run.finish()
wandb.tensorboard.unpatch()

wandb.tensorboard.patch(root_logdir="several", pytorch=True)
run = wandb.init(project="p", reinit=True)
writer = SummaryWriter("several/train")
evaluation = SummaryWriter("several/eval")
for i in range(10):
    writer.add_scalars("grouped", {"a": i, "b": -i}, i)  # a folder of their own each
    evaluation.add_scalar("acc", i * 0.1, i * 3)
writer.add_hparams({"lr": 0.1}, {"hparam/acc": 0.9})
writer.close()
evaluation.close()
run.finish()
"""

KERAS_TENSORBOARD = """
import keras, numpy as np, tensorflow as tf, wandb

run = wandb.init(project="p", sync_tensorboard=True)
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
x, y = np.random.rand(64, 4), np.random.rand(64, 1)
board = keras.callbacks.TensorBoard("tb", update_freq=2, histogram_freq=1)
model.fit(x, y, validation_data=(x, y), epochs=3, batch_size=8, verbose=0, callbacks=[board])
writer = tf.summary.create_file_writer("own")
with writer.as_default():
    for i in range(10):
        tf.summary.scalar("own/loss", i * 0.5, step=i)
        run.log({"mine": i}, step=i * 10)
writer.close()
run.finish()
"""

ESTIMATOR_HOOK = """
import tensorflow as tf, wandb
from wandb.integration.tensorflow import WandbHook

run = wandb.init(project="p")
with tf.Graph().as_default():
    step = tf.compat.v1.train.get_or_create_global_step()
    tf.compat.v1.summary.scalar("loss", 1.0 / tf.cast(step + 1, tf.float32))
    train = tf.compat.v1.assign_add(step, 1)
    with tf.compat.v1.train.MonitoredTrainingSession(hooks=[WandbHook(steps_per_log=2)]) as session:
        for i in range(12):
            session.run(train)
            if i % 3 == 0:
                run.log({"mine": i})
run.log({"afterwards": 1})
run.finish()
"""

LIGHTGBM = """
import lightgbm, numpy as np, wandb
from wandb.integration.lightgbm import log_summary, wandb_callback

run = wandb.init(project="p")
x, y = np.random.rand(200, 4), np.random.randint(0, 2, 200)
train = lightgbm.Dataset(x[:150], y[:150])
valid = lightgbm.Dataset(x[150:], y[150:], reference=train)
options = {"objective": "binary", "metric": ["auc", "binary_logloss"], "verbose": -1, "num_leaves": 4}
stop = lightgbm.early_stopping(50, verbose=False)
booster = lightgbm.train(options, train, 20, valid_sets=[train, valid], callbacks=[wandb_callback(), stop])
log_summary(booster)
run.finish()
"""

XGBOOST = """
import numpy as np, wandb, xgboost
from wandb.integration.xgboost import WandbCallback

run = wandb.init(project="p")
x, y = np.random.rand(200, 4), np.random.randint(0, 2, 200)
model = xgboost.XGBClassifier(n_estimators=20, max_depth=2, eval_metric=["auc", "logloss"], early_stopping_rounds=15,
                              callbacks=[WandbCallback()])
model.fit(x[:150], y[:150], eval_set=[(x[:150], y[:150]), (x[150:], y[150:])], verbose=False)
run.finish()
"""

CATBOOST = """
import catboost, numpy as np, wandb
from wandb.integration.catboost import WandbCallback, log_summary

run = wandb.init(project="p")
x, y = np.random.rand(200, 4), np.random.randint(0, 2, 200)
model = catboost.CatBoostClassifier(iterations=20, depth=2, train_dir="catboost", verbose=False)
model.fit(x[:150], y[:150], eval_set=(x[150:], y[150:]), callbacks=[WandbCallback()])
log_summary(model, save_model_checkpoint=False)
run.finish()
"""

DATA_LOADER = """
import torch, wandb

run = wandb.init(project="p")

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 24
    def __getitem__(self, i):
        run.log({"loaded": i})
        return torch.tensor(float(i))

for epoch in range(2):
    for batch in torch.utils.data.DataLoader(Data(), batch_size=4, num_workers=2, multiprocessing_context="fork"):
        run.log({"loss": batch.mean(), "epoch": epoch})
run.finish()
"""

# framework -> (its module, script, names that must be in the summary)
TRAININGS: dict[str, tuple[str, str, set[str]]] = {
    "Stable-Baselines3": ("stable_baselines3", STABLE_BASELINES, {"last"}),
    "torch's SummaryWriter": ("torch", TORCH_WRITER, set()),
    "Keras's TensorBoard callback": ("keras", KERAS_TENSORBOARD, set()),
    "TensorFlow's estimator hook": ("tensorflow", ESTIMATOR_HOOK, set()),
    "LightGBM": ("lightgbm", LIGHTGBM, {"best_iteration", "training_auc.max"}),
    "XGBoost": ("xgboost", XGBOOST, {"validation_0-auc.max"}),
    "CatBoost": ("catboost", CATBOOST, {"best_iteration"}),
    "Hugging Face Trainer": ("transformers", TRANSFORMERS_WITH_REWARDS, {"train_runtime", "train_loss"}),
    "torch's DataLoader": ("torch", DATA_LOADER, set()),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_all_that_wandb_records_arrives(
    name: str, training_python: str, faulty: FaultyLens, faulty_trainer: Trainer
) -> None:
    module, script, in_summary = TRAININGS[name]
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
    if subprocess.run([training_python, "-c", code, module]).returncode:
        pytest.skip(f"{module} is not installed in the environment that trains; `make frameworks` makes one")
    offline = {"HF_HUB_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    training = faulty_trainer.run(script, timeout=240, KERAS_BACKEND="tensorflow", **offline)

    recorded = {run_id: scalars(history) for run_id, history in training.histories.items()}
    print(name, *(f"{len(found)} scalars" for found in recorded.values()))
    assert all(recorded.values())
    assert_all_arrived(training, faulty, faulty_trainer.workload)
    assert in_summary <= {metric for run_id in recorded for metric in arrivals(faulty, run_id).summary}
    assert "Primus Lens" not in training.stderr
