"""Exports what a training job logs to Weights & Biases to Primus Lens. Imports nothing: start-up must cost nothing."""

__version__ = "1.0.0"
