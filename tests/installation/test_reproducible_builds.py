"""The same sources give the same bytes, wherever, whenever and by whomever they are built."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from .environments import build_distributions


def digests(folder: Path) -> dict[str, str]:
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    assert {Path(name).suffix for name in found} == {".whl", ".gz"}
    return found


@pytest.fixture
def other_checkout(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sources of another user: another folder, other times, nothing for the group and the others."""
    copy = tmp_path_factory.mktemp("somewhere else") / "copy"
    shutil.copytree(checkout, copy)
    for number, path in enumerate([copy, *copy.rglob("*")]):
        path.chmod(0o700 if path.is_dir() or os.access(path, os.X_OK) else 0o600)
        os.utime(path, (number, number))
    return copy


def test_another_folder_umask_and_time_give_the_same_bytes(
    distributions: Path, other_checkout: Path, tmp_path: Path
) -> None:
    build_distributions(other_checkout, tmp_path, umask=0o077)
    assert digests(tmp_path) == digests(distributions)


def test_the_sdist_gives_the_same_bytes_as_its_sources(sdist: Path, distributions: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (sources,) = (tmp_path / "unpacked").iterdir()
    build_distributions(sources, tmp_path / "built")
    assert digests(tmp_path / "built") == digests(distributions)


def test_the_date_of_the_sources_gives_the_same_bytes_twice(
    checkout: Path, other_checkout: Path, tmp_path: Path
) -> None:
    for sources, umask, name in ((checkout, 0o022, "first"), (other_checkout, 0o077, "second")):
        build_distributions(sources, tmp_path / name, umask, SOURCE_DATE_EPOCH="1700000000")
    assert digests(tmp_path / "first") == digests(tmp_path / "second")
