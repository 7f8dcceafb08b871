"""`movierec report` before it reads a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.movierec.cli.command import imported_by


@pytest.mark.parametrize("command", [("report",), ("runs", "compare", "one", "two")])
def test_libraries_that_nothing_uses_are_not_imported(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, modules = imported_by(*command, "--workspace", str(tmp_path))
    # There is no run, which is found out after the imports.
    assert code == 1
    assert "matplotlib" in modules
    assert not modules & {"keras_tuner", "kubernetes", "nltk", "pymongo"}
