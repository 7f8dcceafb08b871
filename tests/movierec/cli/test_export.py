"""What `movierec export` refuses before it loads a model."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.workspace import Workspace
from tests.movierec.cli.command import assert_refused, movierec


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a version that nobody can load."""
    version = Workspace(tmp_path).serving("movierec") / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone", "no such file"),
        (".", "no such file"),
        ("text", "not a Parquet file"),
        ("other", "no column movie_id; it has user_id"),
        ("null", "an id is missing; every row needs both"),
    ],
)
def test_pairs_that_cannot_be_read_are_one_line(workspace: Path, name: str, reason: str) -> None:
    (workspace / "text").write_text("user_id,movie_id\n1,2\n")
    pq.write_table(pa.table({"user_id": ["1"]}), workspace / "other")
    pq.write_table(pa.table({"user_id": ["1", None], "movie_id": [1, 2]}), workspace / "null")
    pairs, target = workspace / name, workspace / "out"
    command = ("export", "predictions", "--pairs", str(pairs), "-o", str(target))
    result = movierec(*command, "--workspace", str(workspace))
    assert_refused(result, f"--pairs {pairs}: {reason}")
    assert not target.exists()
