"""Tests of the local Lens."""
