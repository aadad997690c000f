"""A second user of the machine. Only root can act as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .training import clean_environment

OTHER = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user, or act as one")

# What the command needs is imported first: the other user may not be allowed to read the interpreter's own folder.
_AS_THE_OTHER_USER = f"""
import encodings.idna, os, ssl, sys
import requests
from primus_lens_wandb_exporter import cli
os.setgroups([])
os.setresgid({OTHER}, {OTHER}, {OTHER})
os.setresuid({OTHER}, {OTHER}, {OTHER})
sys.exit(cli.main(sys.argv[1:]))
"""


def command_as_the_other_user(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs ``primus-lens-wandb`` as the other user."""
    return subprocess.run(
        [sys.executable, "-c", _AS_THE_OTHER_USER, *arguments],
        env=clean_environment(**variables),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )


def give_away(path: Path) -> None:
    """To the other user, with all that is in it."""
    for file in (path, *path.rglob("*")):
        os.chown(file, OTHER, OTHER, follow_symlinks=False)
