"""What jobs report is not for other users of the machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ..support.lens import running_lens

NAMES = ("lens.db", "lens.db-wal", "lens.db-shm")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    with running_lens(tmp_path, 0, "--database", str(tmp_path / "new" / "lens.db")):
        assert {name: mode_of(tmp_path / "new" / name) for name in NAMES} == dict.fromkeys(NAMES, 0o600)
        assert mode_of(tmp_path / "new") == 0o700


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o666, 0o600), (0o640, 0o640), (0o600, 0o600)])
def test_a_database_that_everybody_could_read_is_made_private(tmp_path: Path, before: int, after: int) -> None:
    """One that its group alone can read was made so on purpose."""
    database = tmp_path / "shared" / "lens.db"
    database.parent.mkdir(mode=0o755)
    with running_lens(tmp_path, 0, "--database", str(database)):
        pass
    database.chmod(before)
    with running_lens(tmp_path, 0, "--database", str(database)):
        assert {name: mode_of(database.with_name(name)) for name in NAMES} == dict.fromkeys(NAMES, after)
    assert mode_of(database.parent) == 0o755
