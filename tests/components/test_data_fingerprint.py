import hashlib
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.data_fingerprint import Executor
from components.errors import DataError
from components.movielens_example_gen import input_files
from components.movielens_example_gen.readers import EDITIONS


def fingerprint(folder: Path, output: Path) -> str:
    found = standard_artifacts.String()
    found.uri = str(output / "run" / "fingerprint")
    properties = {"input_base": str(folder), "edition": "csv"}
    Executor().Do({}, {"input_fingerprint": [found]}, properties)
    return found.read()


def test_it_changes_with_the_content_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "ratings.csv").write_text("1")
        (folder / "movies.csv").write_text("2")
        (folder / "notes.txt").write_text(folder.name)
    expected = hashlib.sha256(b"ratings.csv\x001movies.csv\x002").hexdigest()
    assert fingerprint(first, tmp_path) == fingerprint(second, tmp_path) == expected
    (second / "movies.csv").write_text("3")
    assert fingerprint(second, tmp_path) != expected


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text("1")
    with pytest.raises(DataError, match=r"ratings\.csv: not found in"):
        fingerprint(tmp_path, tmp_path)


def test_a_folder_of_this_machine_is_read_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("1")
    with input_files.local_files(str(tmp_path), EDITIONS["csv"]) as files:
        assert {name: file.path for name, file in files.items()} == {
            "ratings.csv": str(tmp_path / "ratings.csv")
        }
