"""The line on a step that failed."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest
import tensorflow as tf

from components.errors import DataError
from pipeline.step_failure import explain

# The message that TFX's files have, protobuf's and Python's.
DAMAGES = (
    tf.errors.NotFoundError(None, None, "examples/2/rating_sample.npz; No such file or directory"),
    ValueError("Error parsing message"),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "examples/2/rating_sample.npz"),
)


@pytest.mark.parametrize("error", DAMAGES, ids=lambda error: type(error).__name__)
def test_a_damaged_file_of_an_earlier_run_has_a_remedy(tmp_path: Path, error: Exception) -> None:
    remedy = "movierec run --set runner.cache=false"
    assert remedy in str(explain(error, "Trainer", tmp_path, has_reused=True))
    assert remedy not in str(explain(error, "Trainer", tmp_path))
    expected = explain(DataError("no ratings"), "Trainer", tmp_path, has_reused=True)
    assert str(expected) == "Trainer: no ratings"


def test_a_disk_of_temporary_files_may_be_the_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs" / "1"
    folder.mkdir(parents=True)
    full = OSError(errno.ENOSPC, "No space left on device")
    assert f"the disk of {tmp_path}; free" in str(explain(full, "Trainer", folder))
    # A file system of its own on every Linux.
    monkeypatch.setattr(tempfile, "tempdir", "/proc/self")
    line = str(explain(full, "Trainer", folder))
    assert f"the disk of {tmp_path}, or that of temporary files, /proc (TMPDIR); free" in line
