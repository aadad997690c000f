"""`make demo`, in the environment of somebody who also uses the cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"


def test_the_demo_shows_what_arrived_whatever_tokens_are_set() -> None:
    tokens = {"PRIMUS_LENS_API_TOKEN": "of-the-cluster-" * 2, "PRIMUS_LENS_READ_TOKEN": "to-read-there-" * 2}
    demo = [sys.executable, str(DEMO), "--once"]
    result = subprocess.run(
        demo, env={**os.environ, **tokens}, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "Arrived in Lens: run " in result.stdout
