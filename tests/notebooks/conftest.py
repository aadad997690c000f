from __future__ import annotations

from typing import Callable, Iterator

import pytest

from ..support.kernel import Kernel, skip_without_ipykernel
from ..support.training import Trainer


@pytest.fixture(scope="session")
def kernel_python(training_python: str) -> str:
    """The interpreter that trains, where it can run a kernel."""
    skip_without_ipykernel(training_python)
    return training_python


@pytest.fixture
def start_kernel(kernel_python: str, trainer: Trainer) -> Iterator[Callable[..., Kernel]]:
    """Starts kernels with further environment variables."""
    kernels: list[Kernel] = []

    def start(**variables: str) -> Kernel:
        kernels.append(Kernel(trainer, **variables))
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.close()


@pytest.fixture
def kernel(start_kernel: Callable[..., Kernel]) -> Kernel:
    return start_kernel()
