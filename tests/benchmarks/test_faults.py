"""Commands that end, are killed with all of their processes, or meet a full disk."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks import faults


def test_a_command_ends_with_its_code_and_its_last_line() -> None:
    ended = faults.run(["sh", "-c", "echo one >&2; echo two >&2; exit 3"])
    assert (ended.code, ended.line) == (3, "two")


def test_a_killed_command_leaves_no_process(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {file}; wait"
    ended = faults.run(["sh", "-c", script], kill_after=1.0)
    assert ended.code is None
    stat = Path("/proc", file.read_text().strip(), "stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.05)


def test_a_full_disk_is_full_and_what_is_left_stays(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "old").write_bytes(b"x" * 100_000)

    def fill(disk: Path) -> list[str]:
        return ["sh", "-c", f"echo new > {disk}/new; head -c 1000000 /dev/zero > {disk}/large"]

    try:
        ended = faults.run_on_full_disk(workspace, 300, fill)
    except SystemExit as error:
        pytest.skip(str(error))
    assert ended.code
    assert "No space left" in ended.line
    assert (workspace / "old").stat().st_size == 100_000
    assert (workspace / "new").read_text() == "new\n"
    assert 0 < (workspace / "large").stat().st_size <= 300 * 1024
    assert {entry.name for entry in tmp_path.iterdir()} == {"workspace"}
