"""`movierec` in a process of its own, with settings and a workspace."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.movierec.cli.command import COMMAND


def settings(*overrides: str) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


def run_command(workspace: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """`movierec run --json`."""
    command = [*COMMAND, "run", "--json", "--workspace", str(workspace), *settings(*overrides)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run_summary(workspace: Path, *overrides: str) -> dict[str, Any]:
    """The summary that `movierec run --json` prints, of a model that was pushed."""
    result = run_command(workspace, *overrides)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
