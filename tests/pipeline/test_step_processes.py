"""Steps in forked processes, and how they end: by themselves, with others, with their parent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.forking_parent import PROGRESS
from tests.processes import runs
from tests.serving.asking import wait_until

ROOT = Path(__file__).parents[2]


def start(folder: Path, *names: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.pipeline.forking_parent", ",".join(names), str(folder)]
    temporary(folder).mkdir()
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary(folder))},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def temporary(folder: Path) -> Path:
    return folder / "temporary"


def pid_of(folder: Path, name: str) -> int:
    wait_until((folder / name).exists)
    return int((folder / name).read_text())


def test_steps_tell_their_progress_and_their_end(tmp_path: Path) -> None:
    output, errors = start(tmp_path, "train", "cached").communicate()
    assert errors == ""
    # An interpreter takes megabytes, and not gigabytes.
    peak = r"peak_memory_mb=\d{2,3}\.\d"
    told, one, other = sorted(output.splitlines(), key=lambda line: line.split()[1], reverse=True)
    assert told == f"train {PROGRESS}"
    assert {re.sub(peak, "", line) for line in (one, other)} == {
        "train Finished(cached=False, )",
        "cached Finished(cached=True, )",
    }


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("fail", "fail: ValueError: no good; the traceback is in "),
        ("be_killed", "be_killed: its process was killed, as when memory runs out; if so, lower"),
        ("abort", "abort: its process was ended by SIGABRT, as when memory runs out; if so, lower"),
    ],
)
def test_a_step_that_fails_ends_those_beside_it(tmp_path: Path, step: str, reason: str) -> None:
    parent = start(tmp_path, "endless", step)
    output, _ = parent.communicate()
    assert parent.returncode == 1
    (line,) = output.splitlines()
    assert reason in line
    # What C++ wrote before it aborted is there.
    assert str(tmp_path / "log.txt") in line
    assert not runs(pid_of(tmp_path, "endless"))
    assert (tmp_path / "endless-told").exists()


@pytest.mark.parametrize("names", [("cached",), ("endless", "be_killed")])
def test_no_temporary_file_outlives_a_step(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Libraries remove theirs at the end of an interpreter, which a fork has none of."""
    start(tmp_path, *names).communicate()
    assert list(temporary(tmp_path).rglob("*")) == []


def test_no_step_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = start(tmp_path, "endless", "another")
    steps = [pid_of(tmp_path, name) for name in ("endless", "another")]
    parent.kill()
    parent.communicate()
    wait_until(lambda: not any(map(runs, steps)))


def test_a_ctrl_c_in_the_terminal_lets_each_step_clean_up(tmp_path: Path) -> None:
    """It reaches every process of the terminal."""
    parent = start(tmp_path, "endless", "another")
    steps = [pid_of(tmp_path, name) for name in ("endless", "another")]
    os.killpg(parent.pid, signal.SIGINT)
    _, errors = parent.communicate()
    assert "KeyboardInterrupt" in errors
    assert not any(map(runs, steps))
    assert {path.name for path in tmp_path.glob("*-told")} == {"endless-told", "another-told"}


def test_a_process_that_may_have_run_tensorflow_forks_no_steps() -> None:
    code = (
        "from pipeline.step_processes import can_fork\n"
        "print(can_fork())\n"
        "import tensorflow\n"
        "print(can_fork())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.split() == [str(sys.platform == "linux"), "False"]
