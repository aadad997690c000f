"""The newest patch of each minor version of wandb from 0.12 on, and the oldest of all, each with what it needs."""

from __future__ import annotations

from typing import NamedTuple


class Version(NamedTuple):
    wandb: str
    python: str
    others: tuple[str, ...] = ()

    @property
    def requirements(self) -> list[str]:
        # setuptools: old versions of wandb and TensorBoard import pkg_resources.
        common = ["setuptools<70", "numpy", "pillow", "tensorboard", "tensorboardX"]
        return [f"wandb=={self.wandb}", *common, *self.others]


VERSIONS = [
    Version("0.12.0", "3.7", ("protobuf<3.21",)),
    Version("0.12.21", "3.7", ("protobuf<3.21",)),
    Version("0.13.11", "3.7", ("protobuf<5",)),
    Version("0.14.2", "3.8", ("protobuf<5",)),
    Version("0.15.12", "3.8", ("protobuf<5", "numpy<2")),
    Version("0.16.6", "3.9", ("protobuf<5", "numpy<2")),
    Version("0.17.9", "3.9", ("protobuf<6", "numpy<2")),
    Version("0.18.7", "3.9", ("protobuf<6",)),
    Version("0.19.11", "3.10"),
    Version("0.20.1", "3.10"),
    Version("0.21.4", "3.10"),
    Version("0.22.3", "3.11"),
    Version("0.23.1", "3.11"),
    Version("0.24.2", "3.11"),
    Version("0.25.1", "3.12"),
    Version("0.26.1", "3.12"),
    Version("0.27.2", "3.12"),
    Version("0.28.2", "3.12"),
    Version("0.29.0", "3.13"),
    Version("0.30.0", "3.13"),
    Version("0.31.0", "3.13"),
]
