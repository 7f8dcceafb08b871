"""The image's files, built and run in a clone of the project that has nothing but its files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kubeflow.image.check import CHECKOUT


def copy_of_the_project(folder: Path) -> None:
    """The files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)


def environment() -> dict[str, str]:
    """This process's, without the environment that the tests run in, or the make that runs them."""
    own = Path(sys.executable).parent
    dropped = ("VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    folders = kept["PATH"].split(os.pathsep)
    kept["PATH"] = os.pathsep.join(name for name in folders if Path(name) != own)
    return kept


@pytest.mark.slow
def test_image_check_in_a_clean_clone(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    copy_of_the_project(clone)
    result = subprocess.run(
        ["make", "image-check"],
        cwd=clone,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    said = result.stdout.splitlines()
    mark = "image-check: pushed: "
    (pushed,) = [line.removeprefix(mark) for line in said if line.startswith(mark)]
    assert Path(pushed).is_relative_to(clone / ".image" / "workspace")
    assert (Path(pushed) / "saved_model.pb").is_file()
    assert said[-1] == "image-check: nothing in the image has changed"
    assert any(re.match(r"\d+ done in ", line) for line in said), "none failed, none was cached"
    assert not (clone / ".venv").exists(), "it has an environment of its own"
    subprocess.run(["make", "clean"], cwd=clone, env=environment(), check=True)
    assert not (clone / ".image").exists()
