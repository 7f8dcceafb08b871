import pytest

from benchmarks.processes import run_module


def test_a_program_keeps_its_bytecode_whatever_this_process_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    code = "import sys; print('unwritten:', sys.dont_write_bytecode)"
    assert "unwritten: False" in run_module("timeit", ["-n1", "-r1", code]).output
