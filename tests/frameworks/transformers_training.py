"""Hugging Face's Trainer on a tiny language model."""

from __future__ import annotations

_PREPARED = """
import torch, transformers

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 32
    def __getitem__(self, i):
        tokens = torch.randint(0, 50, (8,), generator=torch.Generator().manual_seed(i))
        return {"input_ids": tokens, "labels": tokens}

config = transformers.GPT2Config(vocab_size=50, n_positions=8, n_embd=16, n_layer=1, n_head=2)
arguments = transformers.TrainingArguments("out", report_to="wandb", num_train_epochs=2, logging_steps=2,
                                           per_device_train_batch_size=8, eval_strategy="epoch", use_cpu=True,
                                           save_strategy="no", disable_tqdm=True)
model = transformers.GPT2LMHeadModel(config)
"""

TRANSFORMERS = (
    _PREPARED
    + """
trainer = transformers.Trainer(model, arguments, train_dataset=Data(), eval_dataset=Data())
trainer.train()
"""
)

TRANSFORMERS_WITH_REWARDS = (
    _PREPARED
    + """
import wandb

class Rewards(transformers.TrainerCallback):
    # As trainers of reinforcement learning do: rows of their own, to which wandb adds the step of the Trainer.
    def on_step_end(self, arguments, state, control, **other):
        wandb.log({"reward": state.global_step * 0.5})

trainer = transformers.Trainer(model, arguments, train_dataset=Data(), eval_dataset=Data(), callbacks=[Rewards()])
trainer.train()
"""
)
