from pathlib import Path

from serving.versions import newest_version, versions


def test_complete_folders_whose_names_are_numbers_oldest_first(tmp_path: Path) -> None:
    for name in ("10", "9", "²", "x", ".11", "12"):
        (tmp_path / name).mkdir()
        if name != "12":
            (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "13").touch()
    assert [entry.name for entry in versions(tmp_path)] == ["9", "10"]
    assert newest_version(tmp_path) == tmp_path / "10"


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert versions(tmp_path / "absent") == []
    assert newest_version(tmp_path / "absent") is None
