"""Every edition in its published form, written here from the description of the format."""

import decimal
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import DataError
from components.movielens_example_gen import normalising, reading, recognition
from components.movielens_example_gen.options import Dialect, IngestOptions, SplitOptions
from pipeline import row_bounds
from pipeline.config.tree import load_config
from pipeline.ingest_options import ingest_options

USERS, MOVIES_OF_EACH = 20, 15
ROWS = [
    (user, movie, (user * movie) % 5 + 1, 964982703 + user * 100 + movie)
    for user in range(1, USERS + 1)
    for movie in range(1, MOVIES_OF_EACH + 1)
]
TITLE = "Amélie: „Le“ (2001)"
LATIN_1_TITLE = "Amélie (2001)"


def ml_100k(folder: Path) -> None:
    lines = ["\t".join(map(str, row)) for row in ROWS]
    (folder / "u.data").write_text("\n".join(lines) + "\n")
    flags = "|".join(["0", "0", "0", "0", "0", "0", "1", *"0" * 12])
    movies = [
        f"{movie}|{LATIN_1_TITLE}|01-Jan-2001||http://x/|{flags}"
        for movie in range(1, MOVIES_OF_EACH + 1)
    ]
    (folder / "u.item").write_text("\n".join(movies) + "\n", encoding="latin-1")
    users = [f"{user}|24|M|technician|85711" for user in range(1, USERS + 1)]
    (folder / "u.user").write_text("\n".join(users) + "\n")


def dat(folder: Path, encoding: str, title: str, *others: str) -> None:
    lines = ["::".join(map(str, row)) for row in ROWS]
    (folder / "ratings.dat").write_text("\n".join(lines) + "\n")
    movies = [f"{movie}::{title}::Comedy|Drama" for movie in range(1, MOVIES_OF_EACH + 1)]
    (folder / "movies.dat").write_text("\n".join(movies) + "\n", encoding=encoding)
    for name in others:
        (folder / name).write_text("1::F::1::10::48067\n")


def csv_files(folder: Path, readme: str) -> None:
    lines = [f"{user},{movie},{rating}.0,{time}" for user, movie, rating, time in ROWS]
    text = "\n".join(["userId,movieId,rating,timestamp", *lines])
    (folder / "ratings.csv").write_text(text + "\n")
    movies = [f'{movie},"{TITLE}",Comedy|Drama' for movie in range(1, MOVIES_OF_EACH + 1)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *movies]) + "\n")
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n1,0114709,862\n")
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,1,fun,964982703\n")
    (folder / "README.txt").write_text(f"Summary\n=======\n\nThis dataset ({readme}) describes …\n")


EDITIONS: dict[str, tuple[Callable[[Path], None], str]] = {
    "ml-100k": (ml_100k, LATIN_1_TITLE),
    "ml-1m": (lambda folder: dat(folder, "latin-1", LATIN_1_TITLE, "users.dat"), LATIN_1_TITLE),
    "ml-10m": (lambda folder: dat(folder, "utf-8", TITLE, "tags.dat"), TITLE),
    **{
        name: (lambda folder, name=name: csv_files(folder, name), TITLE)  # type: ignore[misc]
        for name in ("ml-20m", "ml-25m", "ml-32m", "ml-latest", "ml-latest-small")
    },
    "csv": (lambda folder: csv_files(folder, "something else"), TITLE),
}


@pytest.mark.parametrize("name", EDITIONS)
@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
def test_a_published_edition_is_recognised_and_read(
    tmp_path: Path, name: str, zipped: bool
) -> None:
    write, title = EDITIONS[name]
    base = tmp_path / "data"
    base.mkdir()
    write(base)
    if zipped:
        with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in base.iterdir():
                archive.write(path, f"published/{path.name}")
        base = tmp_path / "data.zip"
    edition = recognition.recognise(str(base))
    assert edition == name
    options = IngestOptions(
        edition=edition,
        split=SplitOptions(),
        max_rejected_fraction=0.0,
        bounds=row_bounds.read(),
    )
    raw, cleaned = reading.read(str(base), options)
    names = ("user_id", "movie_id", "rating", "timestamp")
    found = zip(*(cleaned.accepted[column].to_pylist() for column in names), strict=True)
    assert list(found) == [(str(u), str(m), float(r), t) for u, m, r, t in ROWS]
    assert raw.movies is not None
    assert set(raw.movies["movie_title"].to_pylist()) == {title}
    # The seventh flag of u.item is that of crime.
    genres = ["Crime"] if name == "ml-100k" else ["Comedy", "Drama"]
    assert raw.movies["movie_genres"].to_pylist() == [genres] * MOVIES_OF_EACH
    assert (raw.users is not None) == (name in ("ml-100k", "ml-1m"))
    if name == "ml-1m":
        assert raw.users is not None
        # Group 1 is under 18, and occupation 10 is "K-12 student".
        assert raw.users.to_pylist() == [
            {"user_id": "1", "user_age": 1, "user_gender": "F", "user_occupation": "student"}
        ]
    line = reading.recognised(edition, raw, cleaned)
    assert line.startswith(name)
    assert "seconds" in line
    assert "\n" not in line


def parquet(path: Path, rows: list[tuple[int, int, int, int]]) -> None:
    columns = zip(*rows, strict=True)
    names = ("UserId", "item_id", "score", "date")
    pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), path)


def test_a_parquet_folder_may_have_parts(tmp_path: Path) -> None:
    parquet(tmp_path / "part-0.snappy.parquet", ROWS[:10])
    parquet(tmp_path / "part-1.snappy.parquet", ROWS[10:30])
    (tmp_path / "_SUCCESS").touch()
    assert recognition.recognise(str(tmp_path)) == "parquet"
    raw = reading.read_raw(str(tmp_path), "parquet")
    assert raw.ratings["user_id"].to_pylist() == [row[0] for row in ROWS[:30]]
    assert raw.ratings.column_names == ["user_id", "movie_id", "rating", "timestamp"]
    (one,) = {recognition.recognise(str(path)) for path in tmp_path.glob("part*")}
    assert one == "parquet"


def test_parquet_may_have_any_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "user": pa.array(["a", "b"]).dictionary_encode(),
            "item": pa.array(["x", "y"], pa.large_string()),
            "rating": pa.array([True, False]),
            "time": pa.array([964982703_000_000, None], pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(table, tmp_path / "likes.parquet")
    options = IngestOptions(
        edition="parquet",
        split=SplitOptions(),
        max_rejected_fraction=1.0,
        bounds=row_bounds.read(),
    )
    _, cleaned = reading.read(str(tmp_path / "likes.parquet"), options)
    assert cleaned.accepted.to_pylist() == [
        {"row": 0, "user_id": "a", "movie_id": "x", "rating": 1.0, "timestamp": 964982703}
    ]
    assert cleaned.rejected_by_reason == {"timestamp not a time": 1}


def test_parquet_may_describe_the_movies(tmp_path: Path) -> None:
    parquet(tmp_path / "ratings.parquet", ROWS)
    table = pa.table({"id": [1, 2], "title": ["One", "Two"], "genres": ["Drama| War |", None]})
    pq.write_table(table, tmp_path / "movies.parquet")
    movies = reading.read_raw(str(tmp_path), "parquet").movies
    assert movies is not None
    assert movies.to_pylist() == [
        {"movie_id": "1", "movie_title": "One", "movie_genres": ["Drama", "War"]},
        {"movie_id": "2", "movie_title": "Two", "movie_genres": []},
    ]


def test_movies_need_neither_genres_nor_titles(tmp_path: Path) -> None:
    for header, row in (("title", "One"), ("genres", "Drama")):
        (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n1,2,3\n")
        (tmp_path / "movies.csv").write_text(f"movieId,{header}\n2,{row}\n")
        movies = reading.read_raw(str(tmp_path), "csv").movies
        assert movies is not None
        assert movies.to_pylist() == [
            {
                "movie_id": "2",
                "movie_title": "One" if header == "title" else None,
                "movie_genres": ["Drama"] if header == "genres" else [],
            }
        ]


def test_an_id_among_other_columns_of_movies_is_no_second_movie(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating\n1,2,3\n")
    (tmp_path / "movies.csv").write_text("id,movieId,title\n8,2,One\n")
    movies = reading.read_raw(str(tmp_path), "csv").movies
    assert movies is not None
    assert movies["movie_id"].to_pylist() == ["2"]
    named = Dialect(columns={"movie": "id"})
    (tmp_path / "ratings.csv").write_text("userId,id,rating\n1,8,3\n")
    movies = reading.read_raw(str(tmp_path), "csv", named).movies
    assert movies is not None
    assert movies["movie_id"].to_pylist() == ["8"]


@pytest.mark.parametrize(
    ("texts", "genres"),
    [
        (["['Drama', 'War']", "[]", ""], [["Drama", "War"], [], []]),
        (['[{"id": 18, "name": "Drama"}]', "War"], [["Drama"], ["War"]]),
        (["[18, None", "War|Drama"], [["[18, None"], ["War", "Drama"]]),
        (["A, B", "B, C", "A, C", "C"], [["A", "B"], ["B", "C"], ["A", "C"], ["C"]]),
        (["A;B", "B;A", "B"], [["A", "B"], ["B", "A"], ["B"]]),
        (["Science, Nature", "Drama"], [["Science, Nature"], ["Drama"]]),
        (["A, B|C", "A, B"], [["A, B", "C"], ["A, B"]]),
    ],
)
def test_genres_may_be_written_in_many_ways(texts: list[str], genres: list[list[str]]) -> None:
    assert normalising.genres(pa.chunked_array([texts])).to_pylist() == genres


@pytest.mark.parametrize(
    ("column", "users"),
    [
        (pa.array([b"a", b"b"]), ["a", "b"]),
        (pa.array([b"a", b"b"], pa.binary(1)), ["a", "b"]),
        (pa.array([decimal.Decimal(7), decimal.Decimal(8)], pa.decimal128(38, 10)), ["7", "8"]),
        (pa.array(np.array([7, 8], np.float16)), ["7", "8"]),
        (pa.array([7, 8]).dictionary_encode(), ["7", "8"]),
        (pa.array([2**63 + 1, 8], pa.uint64()), [str(2**63 + 1), "8"]),
    ],
)
def test_ids_in_parquet_may_have_any_types(
    tmp_path: Path, column: pa.Array, users: list[str]
) -> None:
    table = pa.table({"user": column, "item": column, "rating": [4, 5]})
    pq.write_table(table, tmp_path / "ratings.parquet")
    pq.write_table(pa.table({"id": column, "title": ["One", "Two"]}), tmp_path / "movies.parquet")
    raw, cleaned = reading.read(
        str(tmp_path), ingest_options(load_config(None, [f"data.path={tmp_path}"]))
    )
    assert cleaned.accepted["user_id"].to_pylist() == users
    assert raw.movies is not None
    assert raw.movies["movie_id"].to_pylist() == users


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([7], pa.time32("ms")), r"time32\[ms\]"),
        (pa.array([7], pa.duration("s")), r"duration\[s\]"),
        (pa.ExtensionArray.from_storage(pa.opaque(pa.int64(), "p", "v"), pa.array([7])), "opaque"),
        (pa.array([{"id": 7}]), "struct"),
    ],
)
def test_a_column_of_neither_numbers_nor_text_nor_times_is_refused(
    tmp_path: Path, column: pa.Array, kind: str
) -> None:
    table = pa.table({"user": [1], "item": [1], "rating": [4], "time": column})
    pq.write_table(table, tmp_path / "r.parquet")
    with pytest.raises(DataError, match=rf"the column of the timestamp has .*{kind}.*: expected"):
        reading.read_raw(str(tmp_path), "parquet")


def test_whole_numbers_that_are_too_large_are_no_times_and_no_ratings(tmp_path: Path) -> None:
    table = pa.table(
        {
            "user": [1, 2, 3],
            "item": [1, 1, 1],
            "rating": [4, 4, 2**60],
            "time": pa.array([964982703, 2**64 - 1, 964982703], pa.uint64()),
        }
    )
    pq.write_table(table, tmp_path / "r.parquet")
    overrides = [f"data.path={tmp_path}", "data.rating_range=[1, 5]"]
    _, cleaned = reading.read(str(tmp_path), ingest_options(load_config(None, overrides)))
    assert cleaned.accepted["user_id"].to_pylist() == ["1"]
    assert cleaned.rejected_by_reason == {"timestamp out of range": 1, "rating out of range": 1}


def test_parquet_of_ratings_may_describe_their_movies(tmp_path: Path) -> None:
    for name, listed in (("a", ["Drama", "War"]), ("b", [])):
        genres = pa.array([listed], pa.list_(pa.string()))
        movie = 1 if name == "a" else 2
        columns = {"user": [7], "item": [movie], "rating": [4], "title": [name], "genres": genres}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    described = reading.read_raw(str(tmp_path), "parquet").movies
    assert described is not None
    assert described.to_pylist() == [
        {"movie_id": "1", "movie_title": "a", "movie_genres": ["Drama", "War"]},
        {"movie_id": "2", "movie_title": "b", "movie_genres": []},
    ]
    pq.write_table(pa.table({"id": [1, 2], "title": ["x", "y"]}), tmp_path / "movies.parquet")
    described = reading.read_raw(str(tmp_path), "parquet").movies
    assert described is not None
    assert described["movie_title"].to_pylist() == ["x", "y"]


def test_whole_numbers_go_with_floats_and_columns_without_values_with_all(tmp_path: Path) -> None:
    """pandas writes floats where a value is missing, one week and not the next."""
    for name, user, time in (
        ("1", pa.array([7]), pa.array([964982703])),
        ("2", pa.array([8.0, None]), pa.nulls(2)),
    ):
        rows = len(user)
        table = pa.table({"user": user, "item": [1] * rows, "rating": [4] * rows, "time": time})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    for path in (tmp_path, tmp_path / "{SPAN}.parquet"):
        raw, _ = reading.read(str(path), ingest_options(load_config(None, [f"data.path={path}"])))
        assert raw.ratings["user_id"].to_pylist() == [7.0, 8.0, None]
        assert raw.ratings["timestamp"].to_pylist() == [964982703, None, None]


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    for kind in (pa.binary(), pa.binary(1)):
        table = pa.table({"user": pa.array([b"\xc8"], kind), "item": ["1"], "rating": [4]})
        pq.write_table(table, tmp_path / "r.parquet")
        with pytest.raises(DataError, match=r"r\.parquet: the column of the user has bytes that"):
            reading.read_raw(str(tmp_path), "parquet")


def test_parquet_parts_may_have_other_widths_and_zones(tmp_path: Path) -> None:
    second = 964982703
    for name, rating, time in (
        ("a", pa.float32(), pa.array([second], pa.timestamp("s", "Asia/Tokyo"))),
        ("b", pa.float64(), pa.array([second * 10**9], pa.timestamp("ns"))),
    ):
        columns = {"user": [name], "item": [1], "rating": pa.array([3.5], rating), "time": time}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    _, cleaned = reading.read(
        str(tmp_path), ingest_options(load_config(None, [f"data.path={tmp_path}"]))
    )
    assert cleaned.accepted["timestamp"].to_pylist() == [second, second]


def test_genres_in_parquet_may_be_lists(tmp_path: Path) -> None:
    parquet(tmp_path / "ratings.parquet", ROWS)
    for kind in (pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.string(), 3)):
        genres = pa.array([["Drama ", "War", "Drama"], ["", None, " "]], kind)
        pq.write_table(pa.table({"id": [1, 2], "genres": genres}), tmp_path / "movies.parquet")
        movies = reading.read_raw(str(tmp_path), "parquet").movies
        assert movies is not None
        assert movies["movie_genres"].to_pylist() == [["Drama", "War"], []]


def test_parquet_files_of_other_widths_go_together_and_of_other_kinds_not(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", ROWS[:10])
    narrow = pq.read_table(tmp_path / "a.parquet")
    narrow = narrow.set_column(0, "UserId", narrow["UserId"].cast(pa.int16()))
    pq.write_table(narrow, tmp_path / "b.parquet")
    assert reading.read_raw(str(tmp_path), "parquet").ratings.num_rows == 20
    text = narrow.set_column(0, "UserId", narrow["UserId"].cast(pa.string()))
    pq.write_table(text, tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"user_id int64.* in a\.parquet and user_id string"):
        reading.read_raw(str(tmp_path), "parquet")
    lists = narrow.set_column(0, "UserId", pa.array([[1]] * 10))
    pq.write_table(lists, tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: the column of the user has list"):
        reading.read_raw(str(tmp_path), "parquet")


def test_two_editions_in_a_folder_are_asked_for(tmp_path: Path) -> None:
    csv_files(tmp_path, "ml-25m")
    parquet(tmp_path / "ratings.parquet", ROWS)
    with pytest.raises(DataError, match=r"ml-25m and parquet: set data\.dataset"):
        recognition.recognise(str(tmp_path))


def test_nothing_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").touch()
    with pytest.raises(DataError, match=r"has no ratings \(it has notes\.md\)"):
        recognition.recognise(str(tmp_path))
    with pytest.raises(DataError, match="no such file or folder"):
        recognition.recognise(str(tmp_path / "absent"))
