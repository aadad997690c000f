"""Finds what `sync` can deliver from."""

import os
import stat
from typing import List, NamedTuple

from ..sinks.jsonl import FILE_NAME
from .wandb_run import SUFFIX


class Found(NamedTuple):
    """In the order of their names, and why some folders were not searched."""

    mirrors: List[str]
    wandb_files: List[str]
    failures: List[OSError]


def find_sources(root: str) -> Found:
    """The mirrors and wandb's files of runs below a folder. Links are not followed.

    Whatever has such a name is found, also what cannot be one; but people call folders what they like.
    """
    mirrors: List[str] = []
    wandb_files: List[str] = []
    failures: List[OSError] = []
    folders = [root]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if entry.name == FILE_NAME:
                        mirrors.append(entry.path)
                    elif entry.name.endswith(SUFFIX) and not is_folder:
                        wandb_files.append(entry.path)
                    if is_folder:
                        folders.append(entry.path)
        except OSError as error:
            failures.append(error)
    return Found(sorted(mirrors), sorted(wandb_files), failures)


def find_at(path: str) -> "tuple[str, Found]":
    """What is at a path that the user named, and the folder below which nothing is taken on trust."""
    if os.path.isdir(path):
        return path, find_sources(path)
    # The user may well name a link; the ledger is beside the file itself.
    file = os.path.realpath(path)
    there = [file] if os.path.lexists(file) else []
    is_wandb_file = file.endswith(SUFFIX)
    return os.path.dirname(file), Found([] if is_wandb_file else there, there if is_wandb_file else [], [])


def was_modified_since(path: str, since: float) -> bool:
    """Whether a file was written since a time in seconds since 1970; also for what cannot be looked at."""
    try:
        found = os.lstat(path)
    except OSError:
        return True
    return found.st_mtime >= since or not stat.S_ISREG(found.st_mode)
