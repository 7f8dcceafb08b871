import os
from pathlib import Path

from tfx.proto import example_gen_pb2

from components.movielens_example_gen.driver import ContentFingerprintDriver


def fingerprint(folder: Path) -> str | None:
    split = example_gen_pb2.Input.Split(name="all", pattern="*.csv")
    processor = ContentFingerprintDriver(None).get_input_processor([split], None, str(folder))
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


def test_the_same_bytes_under_another_name_are_other_data(csv_folder: Path) -> None:
    before = fingerprint(csv_folder)
    (csv_folder / "movies.csv").rename(csv_folder / "films.csv")
    assert fingerprint(csv_folder) != before
