"""Ratings that come week by week, a folder or file each."""

import gzip
import hashlib
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tfx.dsl.io import fileio

from components.errors import DataError
from components.movielens_example_gen import cleaning, executor, reading, report, spans
from components.movielens_example_gen.component import ContentFingerprintDriver, MovieLensExampleGen
from components.movielens_example_gen.options import IngestOptions, SplitOptions
from pipeline import row_bounds
from tests.components.example_gen_steps import run_step

HEADER = "userId,movieId,rating,timestamp\n"


def week(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.mkdir(parents=True)
    (path / "ratings.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def options(window: int | None = None, edition: str = "auto") -> IngestOptions:
    return IngestOptions.model_validate(
        {
            "edition": edition,
            "window": window,
            "split": SplitOptions(),
            "max_rejected_fraction": 0.5,
            "bounds": row_bounds.read(),
            "dialect": {"rating_range": (1, 5)},
        }
    )


def names(path: Path | str) -> list[str]:
    return [span.name for span in spans.resolve(str(path))]


def test_spans_are_in_order_of_their_numbers_and_dates(tmp_path: Path) -> None:
    for name in ("week-2", "week-10", "week-9", "week-x", "other-1"):
        week(tmp_path, name)
    assert names(tmp_path / "week-{SPAN}") == ["2", "9", "10"]
    assert names(tmp_path / "week-{SPAN:2}") == ["10"]
    for date in ("2025/12/31", "2026/01/07", "2026/02/01"):
        week(tmp_path / "by-date", date)
    found = spans.resolve(str(tmp_path / "by-date" / "{YYYY}" / "{MM}" / "{DD}"))
    assert [span.name for span in found] == ["2025-12-31", "2026-01-07", "2026-02-01"]
    # Days since 1970, as TFX counts them.
    assert [span.number for span in found] == [20453, 20460, 20485]


def test_the_newest_version_of_a_span_counts(tmp_path: Path) -> None:
    for name in ("1/v1", "1/v2", "2/v1"):
        week(tmp_path, name)
    found = spans.resolve(str(tmp_path / "{SPAN}" / "v{VERSION}"))
    assert [Path(span.path).relative_to(tmp_path).as_posix() for span in found] == ["1/v2", "2/v1"]


def test_a_span_may_be_a_file_in_a_folder_with_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "ratings [x] *?"
    folder.mkdir()
    for day in ("07", "14"):
        (folder / f"2026-11-{day}.csv").write_text(HEADER)
    (folder / "2026-11-21.csv.tmp").write_text(HEADER)
    assert names(folder / "{YYYY}-{MM}-{DD}.csv") == ["2026-11-07", "2026-11-14"]


def test_a_folder_of_that_very_name_is_no_pattern(tmp_path: Path) -> None:
    week(tmp_path, "{SPAN}", "7,1,4,100")
    week(tmp_path, "1", "7,1,4,100")
    assert [span.path for span in spans.resolve(str(tmp_path / "{SPAN}"))] == [
        str(tmp_path / "{SPAN}")
    ]


@pytest.mark.parametrize(
    ("folders", "pattern", "problem"),
    [
        (["a"], "week-{SPAN}", r"no folder or file matches \(.* has a\); placeholders stand for"),
        (["2026-Nov", "2026-Dec"], "{YYYY}-{MM}-{DD}", "has 2026-Dec, 2026-Nov"),
        (["2026-13-01"], "{YYYY}-{MM}-{DD}", "2026-13-01 is no date"),
        (["1", "01"], "{SPAN}", "are the same span: keep one"),
        (["1"], "{SPAN}/{YYYY}", "exclusively"),
        (["1"], "{YYYY}", "Exactly one of each date spec"),
        (["1"], "{VERSION}", "Span or Date spec is not present"),
    ],
)
def test_a_path_that_cannot_be_spans_is_refused(
    tmp_path: Path, folders: list[str], pattern: str, problem: str
) -> None:
    for name in folders:
        week(tmp_path, name)
    with pytest.raises(DataError, match=problem):
        spans.resolve(str(tmp_path / pattern))


def test_spans_are_read_as_one_table_and_the_newest_rating_stays(tmp_path: Path) -> None:
    week(tmp_path, "1", "7,1,1,100", "7,2,2,100", "8,1,9,100")
    week(tmp_path, "2", "7,1,5,200", "7,2,3,50")
    week(tmp_path, "3", "8,1,4,100", "9,9,x,300")
    raw, cleaned = reading.read(str(tmp_path / "{SPAN}"), options())
    accepted = cleaned.accepted.drop_columns(["row"]).to_pylist()
    assert sorted(tuple(row.values()) for row in accepted) == [
        ("7", "1", 5.0, 200),
        ("7", "2", 2.0, 100),
        ("8", "1", 4.0, 100),
    ]
    rejected = [(row["span"], row["row"], row["reason"]) for row in cleaned.rejected.to_pylist()]
    assert rejected == [
        ("1", 0, "duplicate of a newer rating"),
        ("1", 2, "rating out of range"),
        ("2", 1, "duplicate of a newer rating"),
        ("3", 1, "rating not a number"),
    ]
    found = spans.find(str(tmp_path / "{SPAN}"), "auto", None)
    by_span = report.by_span(found.spans, raw, cleaned.accepted)
    assert [(one.name, one.read, one.accepted, one.mean) for one in by_span] == [
        ("1", 3, 1, 2.0),
        ("2", 2, 1, 5.0),
        ("3", 2, 1, 4.0),
    ]


def test_the_newest_span_describes_a_movie(tmp_path: Path) -> None:
    for name, title in (("1", "Old"), ("2", "New")):
        folder = week(tmp_path, name, "7,1,4,100")
        (folder / "movies.csv").write_text(f"movieId,title,genres\n1,{title},Drama\n{name}9,X,\n")
    movies = reading.read(str(tmp_path / "{SPAN}"), options())[0].movies
    assert movies is not None
    assert dict(zip(*movies.select([0, 1]).to_pydict().values(), strict=True)) == {
        "1": "New", "29": "X", "19": "X",
    }  # fmt: skip


MOVIES = "movieId,title,genres\n1,Beside,Drama\n2,Beside,War\n"


@pytest.mark.parametrize("name", ["movies.csv", "movies.tsv", "Movies.csv.gz"])
def test_a_file_beside_the_spans_describes_what_no_span_does(tmp_path: Path, name: str) -> None:
    text = MOVIES.replace(",", "\t") if ".tsv" in name else MOVIES
    content = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
    (tmp_path / name).write_bytes(content)
    for day in ("01", "08"):
        (tmp_path / f"{day}.csv").write_text(HEADER + f"7,1,4,{day}0\n7,2,4,{day}0\n")
    folder = week(tmp_path, "15", "7,2,4,100")
    (folder / "movies.csv").write_text("movieId,title\n2,Own\n")
    for pattern, titles in (("{SPAN}.csv", ["Beside"] * 2), ("{SPAN}", ["Beside", "Own"])):
        raw, cleaned = reading.read(str(tmp_path / pattern), options())
        assert f", movies of {name} beside them, " in reading.recognised("csv", raw, cleaned)
        movies = raw.movies
        assert movies is not None
        assert movies.sort_by("movie_id")["movie_title"].to_pylist() == titles


def test_movies_beside_the_spans_are_data(tmp_path: Path) -> None:
    week(tmp_path, "1", "7,1,4,100")
    without = key(tmp_path / "{SPAN}", None)
    (tmp_path / "movies.csv").write_text(MOVIES)
    described = key(tmp_path / "{SPAN}", None)
    assert described != without
    found = spans.find(str(tmp_path / "{SPAN}"), "auto", None)
    (tmp_path / "movies.csv").write_text(MOVIES + "3,New,\n")
    assert key(tmp_path / "{SPAN}", None) not in (without, described)
    (tmp_path / "movies.csv").unlink()
    with pytest.raises(DataError, match=r"movies\.csv: the file is there no longer"):
        found.fingerprint()


def test_movies_beside_the_spans_that_are_not_read_are_asked_about(tmp_path: Path) -> None:
    week(tmp_path, "1", "7,1,4,100")
    (tmp_path / "movies").mkdir()
    assert spans.find(str(tmp_path / "{SPAN}"), "auto", None).movies is None
    (tmp_path / "movies.json").write_text("{}")
    with pytest.raises(DataError, match=r"has movies\.json, which is not read: write movies\.csv"):
        spans.find(str(tmp_path / "{SPAN}"), "auto", None)
    assert spans.find(str(tmp_path / "{SPAN}"), "csv", None).movies is None
    (tmp_path / "movies.csv").mkdir()
    with pytest.raises(DataError, match=r"movies\.csv is a folder: join its files to one"):
        spans.find(str(tmp_path / "{SPAN}"), "csv", None)


def test_parquet_beside_the_spans_describes_them(tmp_path: Path) -> None:
    pq.write_table(pa.table({"movieId": [1], "title": ["One"]}), tmp_path / "movies.parquet")
    ratings = pa.table({"user": [7], "item": [1], "rating": [4]})
    pq.write_table(ratings, tmp_path / "1.parquet")
    movies = reading.read(str(tmp_path / "{SPAN}.parquet"), options())[0].movies
    assert movies is not None
    assert movies["movie_title"].to_pylist() == ["One"]


def test_a_cut_last_line_is_seen_in_every_span(tmp_path: Path) -> None:
    rows = [f"{user},1,4,1400000{user}" for user in range(10, 40)]
    for name in ("1", "2"):
        path = week(tmp_path, name, *rows) / "ratings.csv"
        path.write_text(path.read_text()[:-2])
    _, cleaned = reading.read(str(tmp_path / "{SPAN}"), options())
    cut = [row for row in cleaned.rejected.to_pylist() if row["reason"] == "last line, cut"]
    assert [(row["span"], row["row"]) for row in cut] == [("1", 29), ("2", 29)]


def test_blank_lines_are_said_in_every_span(tmp_path: Path) -> None:
    for day, blank in (("01", "\n \n\n\n"), ("08", "\n"), ("15", "")):
        (tmp_path / f"2026-11-{day}.csv").write_text(f"userId,movieId,rating\n{blank}7,{day},4\n")
    path = str(tmp_path / "{YYYY}-{MM}-{DD}.csv")
    raw, cleaned = reading.read(path, options())
    assert "4 blank lines" in reading.recognised("csv", raw, cleaned)


def test_a_span_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    week(tmp_path, "1", "7,1,4,100")
    week(tmp_path, "2")
    with pytest.raises(DataError, match=r"/2: ratings\.csv: the file has no rows"):
        reading.read(str(tmp_path / "{SPAN}"), options())
    (tmp_path / "2" / "ratings.csv").unlink()
    with pytest.raises(DataError, match=r"/2: has no ratings"):
        reading.read(str(tmp_path / "{SPAN}"), options())
    table = "userId,movieId,rating,timestamp\n7,2,4,100\n7,3,x,100\n"
    (tmp_path / "2" / "ratings.csv").write_text(table)
    _, cleaned = reading.read(str(tmp_path / "{SPAN}"), options())
    with pytest.raises(DataError, match=r"the first is row 2 of span 2: user 7, movie 3"):
        cleaning.require_few_rejected(cleaned, 3, 0.01)


def test_a_span_of_which_too_many_rows_are_bad_is_refused_however_small_it_is(
    tmp_path: Path,
) -> None:
    """A whole week may be less than the fraction of all rows that may be bad."""
    good = [f"{user},1,4,{10**9 + user}" for user in range(2_000)]
    week(tmp_path, "1", *good)
    for name, bad in (("2", 10), ("3", 11)):
        rows = [f"{user},2,{'x' if user < bad else 4},2000" for user in range(200)]
        week(tmp_path, name, *rows)
    _, cleaned = reading.read(str(tmp_path / "{SPAN}"), options())
    with pytest.raises(DataError) as caught:
        cleaning.require_few_rejected(cleaned, 2_400, 0.01)
    assert str(caught.value) == (
        "11 of 200 rows of span 3 cannot be ratings (5.50%, data.max_rejected_fraction allows "
        "1.00%): 11 rating not a number; the first is row 1 of span 3: user 0, movie 2, rating x, "
        "timestamp 2000; write ratings as numbers, and leave out rows without one"
    )
    cleaning.require_few_rejected(cleaned, 2_400, 0.06)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["7,2,x,100"], r"1 of 1 rows of span 2 cannot be ratings"),
        ([",,,", ",,,"], r"all 2 rows of span 2 are blank"),
    ],
)
def test_a_span_without_a_rating_is_refused(tmp_path: Path, rows: list[str], problem: str) -> None:
    week(tmp_path, "1", *(f"{user},1,4,{10**9 + user}" for user in range(2_000)))
    week(tmp_path, "2", *rows)
    _, cleaned = reading.read(str(tmp_path / "{SPAN}"), options())
    with pytest.raises(DataError, match=problem):
        cleaning.require_few_rejected(cleaned, 2_000 + len(rows), 0.01)


def test_a_span_whose_ratings_were_all_given_again_has_ratings(tmp_path: Path) -> None:
    week(tmp_path, "1", "7,2,4,100")
    week(tmp_path, "2", "7,2,5,200")
    _, cleaned = reading.read(str(tmp_path / "{SPAN}"), options())
    cleaning.require_few_rejected(cleaned, 2, 0.0)


def test_a_parquet_span_without_rows_is_named(tmp_path: Path) -> None:
    for name, rows in (("1", 1), ("2", 0)):
        table = pa.table({"user": [7] * rows, "movie": [1] * rows, "rating": [4.0] * rows})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=r"/2\.parquet: the ratings have no rows"):
        reading.read(str(tmp_path / "{SPAN}.parquet"), options())


def test_a_span_alone_is_named_and_counted(tmp_path: Path) -> None:
    for name in ("1", "2"):
        week(tmp_path, name, f"7,{name},4,100", "8,1,x,100")
    path = str(tmp_path / "{SPAN}")
    raw, cleaned = reading.read(path, options(window=1))
    assert "csv, span 2, ratings.csv" in reading.recognised("csv", raw, cleaned)
    assert cleaned.rejected["span"].to_pylist() == ["2"]
    (counted,) = report.by_span(spans.find(path, "auto", 1).spans, raw, cleaned.accepted)
    assert (counted.name, counted.read, counted.accepted) == ("2", 2, 1)


def test_spans_whose_columns_differ_are_refused(tmp_path: Path) -> None:
    week(tmp_path, "1", "7,1,4,100")
    (week(tmp_path, "2") / "ratings.csv").write_text("userId,movieId,rating\n7,1,4\n")
    with pytest.raises(DataError, match=r"1 \(.*timestamp.*\) are not those of .*2 \("):
        reading.read(str(tmp_path / "{SPAN}"), options())


def test_spans_of_two_editions_are_refused(tmp_path: Path) -> None:
    week(tmp_path, "1", "7,1,4,100")
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "ratings.dat").write_text("7::1::4::100\n")
    with pytest.raises(DataError, match=r"1 is csv and .*2 is ml-10m"):
        spans.find(str(tmp_path / "{SPAN}"), "auto", None)
    assert spans.find(str(tmp_path / "{SPAN}"), "auto", 1).edition == "ml-10m"


def key(path: Path, window: int | None) -> tuple[int, str | None]:
    """The newest span and the fingerprint, as the driver finds them for the cache key."""
    step = MovieLensExampleGen(str(path), options(window), "code")
    properties = ContentFingerprintDriver(None).resolve_exec_properties(
        dict(step.exec_properties), None, None
    )
    return properties["span"], properties["input_fingerprint"]


def test_the_key_covers_exactly_the_spans_that_are_read(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        week(tmp_path, name, f"7,1,4,{name}00")
    pattern = tmp_path / "{SPAN}"
    files = [(tmp_path / name / "ratings.csv").read_bytes() for name in ("2", "3")]
    digest = hashlib.sha256(b"".join(b"ratings.csv\0" + content for content in files))
    assert key(pattern, 2) == (3, digest.hexdigest())
    everything = key(pattern, None)
    (tmp_path / "1" / "ratings.csv").write_text(HEADER + "7,1,3,100\n")
    assert key(pattern, 2) == (3, digest.hexdigest())
    assert key(pattern, None) != everything
    week(tmp_path, "4", "7,1,4,400")
    assert key(pattern, 2)[0] == 4
    assert key(pattern, 2) != (4, digest.hexdigest())


def test_files_that_grow_while_they_are_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is trained on is what the cache key says."""
    folder = week(tmp_path, "1", *(f"{user},1,4,{user}" for user in range(300)))
    read = reading.read_source

    def read_and_grow(*arguments: object) -> object:
        result = read(*arguments)
        with (folder / "ratings.csv").open("a") as file:
            file.write("900,1,4,900\n")
        return result

    assert run_step(tmp_path / "{SPAN}", options(), tmp_path / "still").read == 300
    monkeypatch.setattr(executor.reading, "read_source", read_and_grow)
    with pytest.raises(DataError, match="changed while they were read; run again"):
        run_step(tmp_path / "{SPAN}", options(), tmp_path / "grown")


def test_files_that_changed_since_the_key_was_made_are_refused(tmp_path: Path) -> None:
    week(tmp_path, "1", *(f"{user},1,4,{user}" for user in range(300)))
    _, fingerprint = key(tmp_path / "{SPAN}", None)
    week(tmp_path, "2", "900,1,4,900")
    with pytest.raises(DataError, match="changed while they were read"):
        run_step(tmp_path / "{SPAN}", options(), tmp_path / "out", fingerprint)


def test_two_readers_do_not_disturb_each_other(tmp_path: Path) -> None:
    week(tmp_path, "1", *(f"{user},1,4,{user}" for user in range(300)))
    counted: list[report.IngestReport] = []
    readers = [
        threading.Thread(
            target=lambda n=n: counted.append(
                run_step(tmp_path / "{SPAN}", options(), tmp_path / f"out-{n}")
            )
        )
        for n in range(2)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(counted) == 2
    assert counted[0] == counted[1]


def test_spans_may_be_in_cloud_storage() -> None:
    for name in ("1", "2"):
        fileio.makedirs(f"ram://ratings/{name}")
        with fileio.open(f"ram://ratings/{name}/ratings.csv", "w") as file:
            file.write(HEADER)
    assert names("ram://ratings/{SPAN}") == ["1", "2"]
