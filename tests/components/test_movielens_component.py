import os
from pathlib import Path

from tfx.proto import example_gen_pb2

from components.movielens_example_gen.component import ContentFingerprintDriver


def fingerprint(folder: Path) -> str | None:
    splits = [
        example_gen_pb2.Input.Split(name=name, pattern=name)
        for name in ("ratings.csv", "movies.csv")
    ]
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
