"""The command line in a process of its own, and what tests ask of every command."""

from __future__ import annotations

import json
import subprocess
import sys

from tests import forked

COMMAND = [sys.executable, "-m", "movierec"]

_REPORT_IMPORTS = """
import json, sys
sys.argv = ["movierec", *json.loads(sys.argv[1])]
from movierec.cli.app import main
try:
    main()
except SystemExit as end:
    print()
    print(json.dumps([end.code or 0, sorted(sys.modules)]))
"""


def movierec(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command, without the seconds that its imports take."""
    return forked.run("movierec", *arguments)


def movierec_with_imports(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in an interpreter of its own, where what it does as it imports matters."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


def assert_refused(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """One line with these parts on standard error, nothing on standard output, exit code 1."""
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("movierec: ")
    for part in parts:
        assert part in line
    assert result.stdout == ""


def imported_by(*arguments: str) -> tuple[int, set[str]]:
    """The exit code of a command, and the modules that it has imported."""
    result = subprocess.run(
        [sys.executable, "-c", _REPORT_IMPORTS, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(result.stdout.splitlines()[-1])
    return code, set(modules)
