from pathlib import Path

import pytest

from components.errors import DataError
from components.movielens_example_gen import reading, recognition


def test_reads_ids_and_numbers_as_text_and_splits_genres(csv_folder: Path) -> None:
    raw = reading.read_raw(str(csv_folder), "csv")
    assert raw.movies is not None
    assert raw.ratings.to_pylist()[0] == {
        "user_id": "7",
        "movie_id": "1",
        "rating": "4.5",
        "timestamp": "100",
    }
    assert raw.movies.to_pylist() == [
        {"movie_id": "1", "movie_title": "Heat (1995)", "movie_genres": ["Action", "Crime"]},
        {"movie_id": "2", "movie_title": "Girl, Interrupted (1999)", "movie_genres": ["Drama"]},
        {"movie_id": "3", "movie_title": "Nobody Knows (2000)", "movie_genres": []},
    ]
    assert raw.users is None


def test_columns_may_stand_in_any_order_beside_others(csv_folder: Path) -> None:
    (csv_folder / "ratings.csv").write_text("note,rating,timestamp,movieId,userId\nx,3,9,1,7\n")
    (row,) = reading.read_raw(str(csv_folder), "csv").ratings.to_pylist()
    assert row == {"user_id": "7", "movie_id": "1", "rating": "3", "timestamp": "9"}


def test_the_first_of_two_lines_for_a_movie_counts(csv_folder: Path) -> None:
    with (csv_folder / "movies.csv").open("a") as file:
        file.write("1,Another title,Comedy\n4,Last,Comedy\n")
    movies = reading.read_raw(str(csv_folder), "csv").movies
    assert movies is not None
    titles = movies["movie_title"].to_pylist()
    assert titles == ["Heat (1995)", "Girl, Interrupted (1999)", "Nobody Knows (2000)", "Last"]


# pyarrow cannot hand a line that is no text to the handler of broken lines, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ratings.csv: the file is empty"),
        (b"userId,movieId,timestamp\n7,1,3\n", "no column rating; the columns are userId"),
        (b"userId,movieId,rating,timestamp\n7,1,3,9\n7,2\n", "line 3 has 2 fields instead of 4"),
        (b"userId,movieId,rating,timestamp\n7,1,3,9,\n", "line 2 has 5 fields instead of 4"),
        (
            b"userId,movieId,rating,timestamp\nJos\xe9,1,3,9\n",
            "not UTF-8; convert it, from Latin-1",
        ),
        (bytes(range(256)) * 40, "not a text file"),
        (b"\x1f\x8b\x08\x00" + bytes(4000), "the archive is damaged or cut"),
        (b"\n\n\n", "only blank lines"),
        (b"userId,movieId,rating,timestamp", "no rows"),
    ],
    ids=["empty", "column", "cut", "too many", "latin-1", "binary", "gzip", "blank", "header"],
)
def test_a_damaged_file_is_refused_by_name(csv_folder: Path, content: bytes, message: str) -> None:
    (csv_folder / "ratings.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        reading.read_raw(str(csv_folder), "csv")
    assert message in str(caught.value)
    assert str(caught.value).startswith("ratings.csv: ")
    assert str(caught.value).isprintable()


def test_latin_1_titles_are_refused_with_the_remedy(csv_folder: Path) -> None:
    (csv_folder / "movies.csv").write_bytes(b"movieId,title,genres\n1,Am\xe9lie,Comedy\n")
    with pytest.raises(DataError, match=r"movies\.csv: not UTF-8.*iconv"):
        reading.read_raw(str(csv_folder), "csv")


def test_a_missing_file_is_named(csv_folder: Path) -> None:
    (csv_folder / "ratings.csv").unlink()
    with pytest.raises(DataError, match=r"ratings\.csv: not found in"):
        reading.read_raw(str(csv_folder), "csv")


def spark_parts(folder: Path, *parts: str) -> None:
    """Writes a folder as Spark does: parts, checksums and a marker."""
    for number, text in enumerate(parts):
        name = f"part-{number:05}-c000.csv"
        (folder / name).write_text(text)
        (folder / f".{name}.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").touch()


@pytest.mark.parametrize("header", ["", "userId,movieId,rating,timestamp\n"])
def test_parts_that_spark_wrote_hold_the_ratings_together(tmp_path: Path, header: str) -> None:
    spark_parts(tmp_path, f"{header}7,1,4,100\n8,1,3,101\n", "", f"{header}9,2,5,102\n", header)
    assert recognition.recognise(str(tmp_path)) == "csv"
    rows = reading.read_raw(str(tmp_path), "csv").ratings.to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("7", "1", "4", "100"),
        ("8", "1", "3", "101"),
        ("9", "2", "5", "102"),
    ]


def test_parts_that_differ_or_are_empty_are_refused(tmp_path: Path) -> None:
    spark_parts(tmp_path, "userId,movieId,rating\n7,1,4\n", "user,movieId,rating\n8,1,4\n")
    with pytest.raises(DataError, match=r"part-00000.* has another header .* write all parts"):
        reading.read_raw(str(tmp_path), "csv")
    spark_parts(tmp_path, "", "")
    with pytest.raises(DataError, match=r"part-00000.* have no rows"):
        reading.read_raw(str(tmp_path), "csv")
