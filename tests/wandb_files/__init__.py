"""Files of every minor version of wandb: how they are made (`make wandb-files`), where they are kept.

``<version>.zip`` holds, by job, the folders that wandb made and what the job knows that it logged (``truth.json``);
``records.json`` is what that wandb itself reads in them.
"""

from __future__ import annotations

import re
from pathlib import Path

KEPT = Path(__file__).resolve().parent.parent / "data" / "wandb_files"


def jobs_in(script: Path) -> list[str]:
    """The names in its list JOBS: importing it would need what only its own environments have."""
    (names,) = re.findall(r"^JOBS = \[(.*?)\]", script.read_text(), re.DOTALL | re.MULTILINE)
    return [name.strip() for name in names.split(",") if name.strip()]
