"""Docker, where it answers, and an image of this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[2]
# An image that is there already; without it, the tests build one.
_IMAGE: Final = "MOVIEREC_IMAGE"
_BUILT: Final = "movierec:test-engines"


def missing() -> str | None:
    """Returns what the tests lack here; None if they can run."""
    if shutil.which("docker") is None:
        return "Docker is not installed"
    if docker("info").returncode:
        return "Docker does not answer: start it, or set DOCKER_HOST"
    return None


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Docker's client."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


def done(*arguments: str) -> str:
    """Returns what Docker's client prints, which must succeed."""
    process = docker(*arguments)
    assert process.returncode == 0, (process.stdout + process.stderr)[-3000:]
    return process.stdout


def image() -> str:
    """Returns the name of an image of this checkout; builds it unless MOVIEREC_IMAGE names one."""
    if given := os.environ.get(_IMAGE):
        return given
    process = subprocess.run(
        ["make", "image", f"IMAGE={_BUILT}"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return _BUILT
