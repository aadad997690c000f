"""The commands of ``primus-lens-wandb``: for people, never loaded by a training process."""
