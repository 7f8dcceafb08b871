from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving.launch.server_process import ServerProcess


def run(parent: int, *command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    tie = [sys.executable, "-m", "serving.launch.server_process", str(parent)]
    return subprocess.run([*tie, *command], cwd=folder, capture_output=True, text=True, check=False)


def test_the_program_takes_over_with_its_arguments_and_exit_code() -> None:
    done = run(os.getpid(), "sh", "-c", 'echo "$@"; exit 7', "sh", "a b", "--port=1")
    assert (done.returncode, done.stdout, done.stderr) == (7, "a b --port=1\n", "")


@pytest.mark.parametrize("name", ["PIPE", "XFSZ"])
def test_signals_that_python_ignores_end_the_program(name: str, tmp_path: Path) -> None:
    # A core that is dumped goes to the folder.
    done = run(os.getpid(), "sh", "-c", f"kill -{name} $$; echo still here", folder=tmp_path)
    assert (done.returncode, done.stdout) == (-signal.Signals[f"SIG{name}"], "")


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_nothing_is_started_for_a_parent_that_is_gone(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    assert run(os.getppid(), "touch", str(mark)).returncode == 0
    assert not mark.exists()


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    done = run(os.getpid(), str(program))
    assert (done.returncode, done.stderr) == (126, f"{program}: cannot be run: Exec format error\n")


def test_a_log_that_quotes_a_client_commands_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    for from_start in (True, False):
        with ServerProcess(["sh", "-c", r"sleep 0.1; printf 'no model \033[2J\n'"], 5.0) as process:
            if from_start:
                process.last_words()
            process.show_log(from_start=from_start)
            process.last_words()
        assert capfd.readouterr().err == "no model \\x1b[2J\n"
