from pathlib import Path

import pytest

from serving.versions import newest_version, version_number, versions


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


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("0", 0),
        ("7", 7),
        ("007", 7),
        (str(10**18 - 1), 10**18 - 1),
        (str(10**18), None),
        ("9" * 5_000, None),
        ("-1", None),
        ("+1", None),
        ("1 ", None),
        ("1.0", None),
        ("1_000", None),
        ("\N{ARABIC-INDIC DIGIT THREE}", None),
        ("", None),
    ],
)
def test_the_number_of_a_name(name: str, number: int | None) -> None:
    assert version_number(name) == number


def test_the_shortest_of_several_names_for_one_number(tmp_path: Path) -> None:
    for name in ("007", "7", "0007", "08"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert [entry.name for entry in versions(tmp_path)] == ["7", "08"]


def test_links_to_versions_and_links_that_lead_nowhere(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "saved_model.pb").touch()
    base = tmp_path / "base"
    base.mkdir()
    (base / "3").symlink_to(model)
    (base / "4").symlink_to(tmp_path / "absent")
    (tmp_path / "linked").symlink_to(base)
    assert [entry.name for entry in versions(tmp_path / "linked")] == ["3"]
