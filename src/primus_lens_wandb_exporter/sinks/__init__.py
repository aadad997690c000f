"""Where records go: each sink takes records and knows nothing of wandb, queues or threads."""
