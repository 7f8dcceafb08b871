import subprocess
import sys
from pathlib import Path

import pytest


def interpreted(code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_is_one_line(tmp_path: Path, number: str) -> None:
    # Stands in for the run: it is told to end.
    code = (
        "import os, signal, sys, time, pipeline.local_runner\n"
        "def stop(*_):\n"
        f"    os.kill(os.getpid(), signal.{number})\n"
        "    time.sleep(60)\n"
        "pipeline.local_runner.run = stop\n"
        f"sys.argv = ['movierec', 'run', '--workspace', {str(tmp_path)!r}]\n"
        "from movierec.cli.app import main\n"
        "main()"
    )
    result = interpreted(code)
    assert result.returncode == 130
    (line,) = result.stderr.splitlines()
    assert line.startswith("movierec: interrupted; ")


@pytest.mark.parametrize("command", ["run", "versions", "serve"])
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_a_command_starts_is_one_line(command: str, number: str) -> None:
    """As it comes while the command still imports what it needs."""
    code = (
        "import signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name in ('pipeline.local_runner', 'pipeline.pushed_versions',\n"
        "                    'serving.launch.launcher'):\n"
        f"            signal.raise_signal(signal.{number})\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"sys.argv = ['movierec', '{command}']\n"
        "from movierec.cli.app import main\n"
        "main()"
    )
    result = interpreted(code)
    assert result.returncode == 130
    (line,) = result.stderr.split("\n")[:-1]
    assert line.startswith("movierec: interrupted")


# Modules in the order in which a command is imported.
@pytest.mark.parametrize("module", ["movierec.cli.app", "typer", "pipeline.config.tree"])
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_before_the_command_is_there_is_one_line(module: str, number: str) -> None:
    (script,) = (
        line for line in Path("pyproject.toml").read_text().splitlines() if "movierec =" in line
    )
    assert script == 'movierec = "movierec.__main__:main"'
    code = (
        "import signal, sys\n"
        "from movierec.__main__ import main\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        f"            signal.raise_signal(signal.{number})\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['movierec', 'config']\n"
        "main()"
    )
    result = interpreted(code)
    assert (result.returncode, result.stderr) == (130, "movierec: interrupted\n")


def test_next_to_nothing_is_imported_before_signals_are_handled() -> None:
    """Each module takes a while on a starved machine."""
    code = "import enum, signal, sys; known = {*sys.modules}; import movierec.__main__; "
    result = subprocess.run(
        [sys.executable, "-c", f"{code}print(*{{*sys.modules}} - known)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(result.stdout.split()) == {"movierec", "movierec.__main__"}


def test_a_signal_between_the_handler_and_the_command_is_one_line() -> None:
    code = (
        "import signal, sys\n"
        "from movierec.cli import app\n"
        "sys.argv = ['movierec', 'config']\n"
        "app.app = lambda **_: signal.raise_signal(signal.SIGTERM)\n"
        "app.main()"
    )
    result = interpreted(code)
    assert (result.returncode, result.stderr) == (130, "movierec: interrupted\n")


def test_a_table_below_an_error_has_a_line_for_each_row() -> None:
    """What a cell holds stays on its line, and no terminal obeys it."""
    code = (
        "from pipeline import local_runner\n"
        "def run(*arguments):\n"
        "    rows = ('name    moved', 'ratings 0.5', 'a\\x1b[2Jb\\nc')\n"
        "    raise local_runner.StepFailedError('DriftValidator: moved too far:', rows)\n"
        "local_runner.run = run\n"
        "import sys\n"
        "sys.argv = ['movierec', 'run']\n"
        "from movierec.cli.app import main\n"
        "main()"
    )
    result = interpreted(code)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "movierec: DriftValidator: moved too far:",
        "name    moved",
        "ratings 0.5",
        r"a\x1b[2Jb\nc",
    ]
