import os
from pathlib import Path

import pytest

from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving.versions import newest_version, versions


def test_a_second_run_is_kept_out_and_told_by_whom(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with (
        workspace.locked(),
        pytest.raises(UserError, match=f"process {os.getpid()} is running"),
        Workspace(tmp_path).locked(),
    ):
        pass
    with workspace.locked():
        pass


def test_a_workspace_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match="Not a directory"),
        Workspace(tmp_path / "file" / "below").locked(),
    ):
        pass


def test_runs_of_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    folders = {Workspace(tmp_path).new_run() for _ in range(5)}
    assert len(folders) == 5
    assert all(folder.is_dir() for folder in folders)


def test_only_complete_versions_count_and_the_newest_is_the_highest(tmp_path: Path) -> None:
    for name in ("9", "10", "100", ".incoming-200", "notes"):
        (tmp_path / name).mkdir()
        if name != "100":
            (tmp_path / name / "saved_model.pb").write_bytes(b"")
    assert [entry.name for entry in versions(tmp_path)] == ["9", "10"]
    assert newest_version(tmp_path) == tmp_path / "10"
    assert newest_version(tmp_path / "absent") is None


@pytest.mark.parametrize("name", ["runs [2026]", "a*", "b?"])
def test_a_name_that_tfx_reads_as_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="read as a pattern"):
        Workspace(tmp_path / name)
    with pytest.raises(UserError, match="read as a pattern"):
        Workspace(tmp_path / name / "below")


def test_a_name_that_is_not_in_utf_8_is_refused(tmp_path: Path) -> None:
    name = os.fsdecode(b"workspace of Andr\xe9")
    with pytest.raises(UserError, match="is not in UTF-8; take a folder"):
        Workspace(tmp_path / name)
