"""Trains a small classifier on scikit-learn's handwritten digits and logs to Weights & Biases.

An ordinary training script: one hidden layer, minibatch gradient descent, a learning rate that warms up and decays.
"""

from __future__ import annotations

import argparse

import numpy as np
import wandb
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


class Network:
    """64 pixels -> hidden units (ReLU) -> 10 digits (softmax)."""

    def __init__(self, hidden: int, rng: np.random.Generator) -> None:
        self.w1 = rng.normal(0, np.sqrt(2 / 64), (64, hidden))
        self.b1 = np.zeros(hidden)
        self.w2 = rng.normal(0, np.sqrt(2 / hidden), (hidden, 10))
        self.b2 = np.zeros(10)

    def forward(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, 64) to hidden activations (n, hidden) and probabilities (n, 10)."""
        activations = np.maximum(images @ self.w1 + self.b1, 0)
        logits = activations @ self.w2 + self.b2
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return activations, exponentials / exponentials.sum(axis=1, keepdims=True)

    def evaluate(self, images: np.ndarray, digits: np.ndarray) -> tuple[float, float]:
        """Mean cross-entropy and accuracy."""
        _, probabilities = self.forward(images)
        likelihood = probabilities[np.arange(len(digits)), digits]
        return float(-np.log(likelihood + 1e-12).mean()), float((probabilities.argmax(axis=1) == digits).mean())

    def train_step(self, images: np.ndarray, digits: np.ndarray, learning_rate: float) -> tuple[float, float, float]:
        """One step of gradient descent; returns loss, accuracy and the norm of the gradient."""
        loss, accuracy = self.evaluate(images, digits)
        activations, probabilities = self.forward(images)
        probabilities[np.arange(len(digits)), digits] -= 1
        d_logits = probabilities / len(digits)
        d_hidden = (d_logits @ self.w2.T) * (activations > 0)
        gradients = (images.T @ d_hidden, d_hidden.sum(axis=0), activations.T @ d_logits, d_logits.sum(axis=0))
        for parameter, gradient in zip((self.w1, self.b1, self.w2, self.b2), gradients, strict=True):
            parameter -= learning_rate * gradient
        return loss, accuracy, float(np.sqrt(sum((gradient**2).sum() for gradient in gradients)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=48)
    parser.add_argument("--learning-rate", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    images, digits = load_digits(return_X_y=True)
    train_x, val_x, train_y, val_y = train_test_split(images / 16.0, digits, test_size=0.25, random_state=options.seed)
    network = Network(options.hidden, rng)

    run = wandb.init(project="digits", config=vars(options))
    steps_per_epoch = len(train_x) // options.batch_size
    total_steps = options.epochs * steps_per_epoch
    warm_up = max(1, total_steps // 20)
    step = 0
    for epoch in range(options.epochs):
        order = rng.permutation(len(train_x))
        for batch in np.split(order[: steps_per_epoch * options.batch_size], steps_per_epoch):
            decay = 0.5 * (1 + np.cos(np.pi * step / total_steps))
            learning_rate = options.learning_rate * min(1.0, (step + 1) / warm_up) * decay
            loss, accuracy, gradient_norm = network.train_step(train_x[batch], train_y[batch], learning_rate)
            wandb.log(
                {
                    "train/loss": loss,
                    "train/accuracy": accuracy,
                    "train/learning_rate": learning_rate,
                    "train/gradient_norm": gradient_norm,
                },
                step=step,
            )
            step += 1
        val_loss, val_accuracy = network.evaluate(val_x, val_y)
        run.log({"val/loss": val_loss, "val/accuracy": val_accuracy, "epoch": epoch + 1}, step=step)
        print(f"epoch {epoch + 1}: loss {val_loss:.3f}, accuracy {val_accuracy:.3f} on {len(val_x)} unseen digits")
    run.finish()


if __name__ == "__main__":
    main()
