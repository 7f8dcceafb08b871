"""The report of a run, which another process writes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from movierec.report import REPORT_FILE
from tests.movierec.cli.command import imported_by
from tests.movierec.cli.reporting_parent import RUN
from tests.processes import runs


def start(page: str, folder: Path, *more: str) -> subprocess.Popen[str]:
    module = "tests.movierec.cli.reporting_parent"
    command = [sys.executable, "-m", module, page, str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_table_is_shown_while_the_report_is_written(tmp_path: Path) -> None:
    out, err = start("whole", tmp_path).communicate(timeout=60)
    path = tmp_path / "runs" / RUN / REPORT_FILE
    assert out.splitlines() == ["the table", str(path)]
    assert err == ""
    assert path.read_text() == "the page"


def test_the_report_is_written_whatever_becomes_of_the_table(tmp_path: Path) -> None:
    _, err = start("whole", tmp_path, "broken").communicate(timeout=60)
    assert err.splitlines()[-1] == "BrokenPipeError"
    assert (tmp_path / "runs" / RUN / REPORT_FILE).read_text() == "the page"


def test_a_report_that_fails_is_one_line_of_warning(tmp_path: Path) -> None:
    out, err = start("failing", tmp_path).communicate(timeout=60)
    assert out.splitlines() == ["the table", "None"]
    (line,) = err.splitlines()
    assert line.startswith("movierec: warning: no report (ValueError: no such chart); ")
    assert "Traceback (most recent call last)" in (tmp_path / "runs" / RUN / "log.txt").read_text(
        "utf-8"
    )


def test_a_report_whose_process_is_killed_is_one_line_of_warning(tmp_path: Path) -> None:
    out, err = start("killed", tmp_path).communicate(timeout=60)
    assert out.splitlines() == ["the table", "None"]
    (line,) = err.splitlines()
    assert line.startswith("movierec: warning: no report (report: its process was killed")


def test_an_interruption_ends_the_report_too(tmp_path: Path) -> None:
    parent = start("endless", tmp_path)
    while not (tmp_path / "pid").exists() or not (tmp_path / "shown").exists():
        assert parent.poll() is None
        time.sleep(0.01)
    parent.send_signal(signal.SIGINT)
    parent.communicate(timeout=60)
    assert (tmp_path / "told").exists()
    assert not runs(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("command", [("report",), ("runs", "compare", "one", "two")])
def test_libraries_that_nothing_uses_are_not_imported(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, modules = imported_by(*command, "--workspace", str(tmp_path))
    # There is no run, which is found out after the imports.
    assert code == 1
    assert "matplotlib" in modules
    assert not modules & {"keras_tuner", "kubernetes", "nltk", "pymongo"}
