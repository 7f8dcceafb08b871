import os
import shutil
from pathlib import Path

import pytest
from tfx.proto import example_gen_pb2

from components.errors import DataError
from components.movielens_example_gen import input_files
from components.movielens_example_gen.component import ContentFingerprintDriver


def fingerprint(folder: Path) -> str | None:
    splits = [example_gen_pb2.Input.Split(name="csv", pattern="*")]
    processor = ContentFingerprintDriver(None).get_input_processor(splits, None, str(folder))
    span, version = processor.resolve_span_and_version()
    return processor.get_input_fingerprint(span, version)


def test_touching_a_file_changes_nothing(csv_folder: Path) -> None:
    before = fingerprint(csv_folder)
    os.utime(csv_folder / "ratings.csv", (1, 1))
    assert fingerprint(csv_folder) == before


def test_a_changed_byte_of_the_same_length_changes_it(csv_folder: Path) -> None:
    before = fingerprint(csv_folder)
    path = csv_folder / "ratings.csv"
    path.write_text(path.read_text().replace("4.5", "4.0"))
    assert fingerprint(csv_folder) != before


def test_two_files_that_change_places_are_other_data(csv_folder: Path) -> None:
    before = fingerprint(csv_folder)
    ratings, movies = csv_folder / "ratings.csv", csv_folder / "movies.csv"
    ratings.rename(csv_folder / "kept")
    movies.rename(ratings)
    (csv_folder / "kept").rename(movies)
    assert fingerprint(csv_folder) != before


def test_files_that_are_not_read_do_not_count(csv_folder: Path) -> None:
    before = fingerprint(csv_folder)
    (csv_folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n")
    assert fingerprint(csv_folder) == before


@pytest.mark.parametrize(
    "name", ["ratings [2026-11]", "a*b", "what?", "{SPAN}", "{YYYY}-{MM}-{DD}"]
)
def test_no_character_of_a_path_has_a_meaning(csv_folder: Path, name: str) -> None:
    folder = csv_folder / name
    folder.mkdir()
    for file in ("ratings.csv", "movies.csv"):
        shutil.copy(csv_folder / file, folder)
    before = fingerprint(folder)
    assert before == fingerprint(csv_folder)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4,100\n")
    assert fingerprint(folder) != before


def test_a_folder_without_the_files_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ratings\.csv: not found"):
        fingerprint(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        fingerprint(tmp_path / "absent")
    with pytest.raises(DataError, match="no file"):
        input_files.fingerprint([])
