"""Folders, archives, compressed and single files: what is in them, and what must not be."""

import gzip
import os
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import DataError
from components.movielens_example_gen import input_files, reading, recognition, spans
from components.movielens_example_gen.options import Dialect
from components.movielens_example_gen.readers import EDITIONS, csv_folder
from pipeline.config.tree import load_config
from pipeline.ingest_options import ingest_options
from tests.conftest import MOVIES

RATINGS = "userId,movieId,rating,timestamp\n7,1,4.5,100\n7,2,3,101\n8,1,0.5,102\n"
CSV = EDITIONS["csv"]
EXCEL = ("[Content_Types].xml", "xl/workbook.xml")


def archive(path: Path, files: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def users(base: Path) -> list[str]:
    edition = recognition.recognise(str(base))
    return reading.read_raw(str(base), edition).ratings["user_id"].to_pylist()


def test_a_zip_archive_is_read_like_its_folder(tmp_path: Path) -> None:
    base = archive(
        tmp_path / "any.zip",
        {
            "__MACOSX/ml-x/ratings.csv": "junk",
            "ml-x/": "",
            "ml-x/ratings.csv": RATINGS,
            "ml-x/movies.csv": MOVIES,
            "ml-x/older/ratings.csv": "userId\n",
        },
    )
    raw = reading.read_raw(str(base), "csv")
    assert raw.ratings["user_id"].to_pylist() == ["7", "7", "8"]
    assert raw.movies is not None
    assert raw.movies["movie_id"].to_pylist() == ["1", "2", "3"]


def test_files_may_be_compressed_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv.gz").write_bytes(gzip.compress(RATINGS.encode()))
    (tmp_path / "movies.csv").write_text(MOVIES)
    assert users(tmp_path) == ["7", "7", "8"]
    assert users(tmp_path / "ratings.csv.gz") == ["7", "7", "8"]


@pytest.mark.parametrize("name", ["../ratings.csv", "/ratings.csv", "a/../../ratings.csv"])
def test_no_name_in_an_archive_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "in" / "side"
    inside.mkdir(parents=True)
    base = archive(inside / "x.zip", {name: RATINGS})
    with input_files.local_files(str(base), CSV) as files:
        path = Path(files["ratings.csv"].path)
        assert path.read_text() == RATINGS
        assert path.resolve().is_relative_to(Path(path).parents[1].resolve())
        assert tmp_path not in path.parents
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["in", "side", "x.zip"]


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    bomb = b"0" * (64 << 20)
    base = archive(tmp_path / "x.zip", {"ratings.csv": bomb})
    (tmp_path / "ratings.csv.gz").write_bytes(gzip.compress(bomb))
    for place in (base, tmp_path / "ratings.csv.gz"):
        with (
            pytest.raises(DataError, match="unpacks to more than"),
            input_files.local_files(str(place), CSV),
        ):
            pass


@pytest.mark.parametrize("kept", [40, 120, -30])
def test_a_cut_archive_is_refused(tmp_path: Path, kept: int) -> None:
    lines = "".join(f"{at},{at * 7919 % 1000},3,{at * 104729}\n" for at in range(500))
    base = archive(tmp_path / "x.zip", {"ratings.csv": RATINGS + lines})
    base.write_bytes(base.read_bytes()[:kept])
    with pytest.raises(DataError, match="not a whole zip archive"):
        recognition.recognise(str(base))
    (tmp_path / "ratings.csv.gz").write_bytes(gzip.compress((RATINGS + lines).encode())[:kept])
    with (
        pytest.raises(DataError, match="damaged or cut"),
        input_files.local_files(str(tmp_path / "ratings.csv.gz"), CSV),
    ):
        pass


def test_the_fingerprint_of_an_archive_is_that_of_its_bytes(tmp_path: Path) -> None:
    base = archive(tmp_path / "x.zip", {"ratings.csv": RATINGS})
    before = input_files.fingerprint(input_files.find(str(base), CSV))
    archive(base, {"ratings.csv": RATINGS, "movies.csv": MOVIES})
    assert input_files.fingerprint(input_files.find(str(base), CSV)) != before


def test_movies_that_come_later_change_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    before = input_files.fingerprint(input_files.find(str(tmp_path), CSV))
    (tmp_path / "movies.csv").write_text(MOVIES)
    assert input_files.fingerprint(input_files.find(str(tmp_path), CSV)) != before


def test_a_file_is_unpacked_by_its_content_and_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(gzip.compress(RATINGS.encode()))
    (tmp_path / "b.csv.gz").write_text(RATINGS)
    (tmp_path / "c.CSV.GZ").write_bytes(gzip.compress(RATINGS.encode()))
    for path in tmp_path.iterdir():
        assert users(path) == ["7", "7", "8"]


def test_names_may_be_in_capital_letters(tmp_path: Path) -> None:
    (tmp_path / "Ratings.CSV").write_text(RATINGS)
    (tmp_path / "MOVIES.csv").write_text(MOVIES)
    movies = reading.read_raw(str(tmp_path), recognition.recognise(str(tmp_path))).movies
    assert movies is not None
    (tmp_path / "ratings.csv").write_text(RATINGS)
    with pytest.raises(DataError, match=r"has Ratings\.CSV and ratings\.csv: keep one"):
        users(tmp_path)


def test_hidden_files_and_locks_are_no_ratings(tmp_path: Path) -> None:
    for name in ("my.csv", "._my.csv", ".old.csv", "~$my.csv"):
        (tmp_path / name).write_text(RATINGS)
    assert users(tmp_path) == ["7", "7", "8"]
    base = archive(tmp_path / "x.zip", {"a/my.csv": RATINGS, "a/._my.csv": "junk"})
    assert users(base) == ["7", "7", "8"]


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_folders_with_values_are_parts_of_one_table(tmp_path: Path, packed: bool) -> None:
    files: dict[str, bytes | str] = {
        f"out/user_id={user}/date=2026-11-{day:02}/part-0.csv": f"movieId,rating\n{day},3\n"
        for user in ("a%20b", "c")
        for day in (1, 2)
    }
    files["out/user_id=__HIVE_DEFAULT_PARTITION__/date=2026-11-03/part-0.csv"] = (
        "movieId,rating\n3,3\n"
    )
    base = tmp_path / "out"
    if packed:
        base = archive(tmp_path / "x.zip", files)
    else:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).write_text(str(content))
    ratings = reading.read_raw(str(base), recognition.recognise(str(base))).ratings
    found = {tuple(row.values()) for row in ratings.to_pylist()}
    assert found == {
        ("a b", "1", "3", "2026-11-01"),
        ("a b", "2", "3", "2026-11-02"),
        ("c", "1", "3", "2026-11-01"),
        ("c", "2", "3", "2026-11-02"),
        (None, "3", "3", "2026-11-03"),
    }


def test_the_fingerprint_has_the_values_of_folders(tmp_path: Path) -> None:
    (tmp_path / "user_id=1").mkdir()
    (tmp_path / "user_id=1" / "part-0.csv").write_text("movieId,rating\n1,3\n")
    before = input_files.fingerprint(input_files.find(str(tmp_path), CSV))
    (tmp_path / "user_id=1").rename(tmp_path / "user_id=2")
    assert input_files.fingerprint(input_files.find(str(tmp_path), CSV)) != before


def test_a_column_of_a_file_counts_more_than_its_folder(tmp_path: Path) -> None:
    (tmp_path / "user=9").mkdir()
    (tmp_path / "user=9" / "part-0.csv").write_text(RATINGS)
    assert users(tmp_path) == ["7", "7", "8"]


def test_a_published_file_without_a_header_lacks_no_column(tmp_path: Path) -> None:
    (tmp_path / "date=2026-11-22").mkdir()
    path = tmp_path / "date=2026-11-22" / "u.data"
    path.write_text("7\t1\t4\t100\n")
    raw = csv_folder.read_headless_ratings(str(path), "\t", Dialect())
    assert raw.ratings["timestamp"].to_pylist() == ["100"]


def write(place: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    return place


def test_folders_above_the_path_have_no_values(tmp_path: Path) -> None:
    """As in Spark: what is around `data.path` is none of the table's."""
    text = "userId,movieId,rating\n7,1,4\n"
    base = write(tmp_path / "user=9" / "date=2026-11-22", {"ratings.csv": text})
    for path in (base, base / "ratings.csv"):
        assert reading.read_raw(str(path), "csv").ratings.column_names == [
            "user_id",
            "movie_id",
            "rating",
        ]
    before = input_files.fingerprint(input_files.find(str(base), CSV))
    base = base.rename(base.with_name("date=2026-11-23"))
    assert input_files.fingerprint(input_files.find(str(base), CSV)) == before


def test_a_folder_that_a_placeholder_stands_for_has_its_value(tmp_path: Path) -> None:
    text = "userId,movieId,rating\n7,{day},4\n"
    write(
        tmp_path / "user=9",
        {f"date=2026-11-0{day}/ratings.csv": text.format(day=day) for day in (1, 2)},
    )
    path = str(tmp_path / "user=9" / "date={YYYY}-{MM}-{DD}")
    raw, _ = reading.read(path, ingest_options(load_config(None, [f"data.path={path}"])))
    assert raw.ratings["timestamp"].to_pylist() == ["2026-11-01", "2026-11-02"]
    assert raw.ratings["user_id"].to_pylist() == ["7", "7"]


@pytest.mark.parametrize(
    "names",
    [
        ("date=2026-11-01/ratings.csv", "date=2026-11-02/ratings.csv"),
        ("date=2026-11-01/a.csv", "date=2026-11-02/b.csv"),
        ("date=2026-11-01/000000_0", "date=2026-11-02/000000_0_copy_1"),
        ("date=2026-11-01/data", "date=2026-11-02/data"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_folders_with_values_hold_parts_of_any_name(
    tmp_path: Path, names: tuple[str, str], packed: bool
) -> None:
    text = "userId,movieId,rating\n7,1,4\n"
    files = {**dict.fromkeys(names, text), "movies.csv": MOVIES, "date=2026-11-01/_SUCCESS": ""}
    if packed:
        base = archive(tmp_path / "x.zip", {f"out/{name}": one for name, one in files.items()})
    else:
        base = write(tmp_path / "out", files)
    raw = reading.read_raw(str(base), recognition.recognise(str(base)))
    assert raw.ratings["timestamp"].to_pylist() == ["2026-11-01", "2026-11-02"]
    assert raw.movies is not None


@pytest.mark.parametrize("name", ["README", "LICENSE", "readme.txt", "SUCCESS", "_committed_7"])
def test_documents_beside_ratings_are_none(tmp_path: Path, name: str) -> None:
    write(tmp_path / "in", {"date=2026-11-01/data": RATINGS, f"date=2026-11-01/{name}": "text"})
    write(tmp_path / "beside", {"my.csv": RATINGS, name: "text"})
    for folder in ("in", "beside"):
        assert users(tmp_path / folder) == ["7", "7", "8"]
    with pytest.raises(DataError, match="has no ratings"):
        users(write(tmp_path / "alone", {name: "text"}))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt", ".inter"])
def test_movies_may_have_another_suffix(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, {f"ratings{suffix}": RATINGS, f"movies{suffix}.gz": MOVIES})
    raw = reading.read_raw(str(tmp_path), recognition.recognise(str(tmp_path)))
    assert raw.movies is not None
    assert raw.ratings["user_id"].to_pylist() == ["7", "7", "8"]
    write(tmp_path, {"ratings.dat": RATINGS})
    if suffix != ".csv":
        with pytest.raises(DataError, match="give the one with the ratings"):
            input_files.find(str(tmp_path), CSV)


@pytest.mark.parametrize("name", ["movies.parquet", "movies.json", "Movies.xlsx"])
def test_movies_that_are_not_read_are_asked_about(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"ratings.csv": RATINGS, name: MOVIES})
    with pytest.raises(DataError, match=r"has movies\.\w+, which is not read: write movies\.csv"):
        recognition.recognise(str(tmp_path))
    write(tmp_path, {"movies.csv": MOVIES})
    assert recognition.recognise(str(tmp_path)) == "csv"


def test_parts_of_hive_have_no_suffix(tmp_path: Path) -> None:
    rows = "7\x011\x014.5\x01100\n8\x012\x013\x01101\n"
    write(tmp_path, {"000000_0": rows, "000001_0": rows, "000001_0_copy_1": rows})
    assert users(tmp_path) == ["7", "8"] * 3


def test_ratings_beside_folders_of_ratings_are_asked_about(tmp_path: Path) -> None:
    write(tmp_path, {"ratings.csv": RATINGS, "date=2026-11-01/ratings.csv": RATINGS})
    with pytest.raises(DataError, match=r"has ratings\.csv and date=2026-11-01/ratings\.csv: keep"):
        users(tmp_path)


def test_movies_in_each_folder_are_asked_about(tmp_path: Path) -> None:
    write(tmp_path, {"date=2026-11-01/ratings.csv": RATINGS, "date=2026-11-01/movies.csv": MOVIES})
    with pytest.raises(DataError, match=r"one movies\.csv for all ratings, beside date=2026-11-01"):
        users(tmp_path)


def test_files_of_one_name_in_two_folders_of_an_archive_are_asked_about(tmp_path: Path) -> None:
    base = archive(tmp_path / "x.zip", {"a/ratings.csv": RATINGS, "b/ratings.csv": RATINGS})
    with pytest.raises(DataError, match=r"has a/ratings\.csv and b/ratings\.csv: unpack it"):
        users(base)


def test_parts_of_hadoop_have_no_suffix(tmp_path: Path) -> None:
    (tmp_path / "part-00000").write_text(RATINGS)
    (tmp_path / "part-00001").write_text(RATINGS)
    (tmp_path / "_SUCCESS").touch()
    assert users(tmp_path) == ["7", "7", "8"] * 2


def test_what_is_packed_inside_is_named(tmp_path: Path) -> None:
    inner = archive(tmp_path / "inner.zip", {"ratings.csv": RATINGS})
    outer = archive(tmp_path / "outer.zip", {"inner.zip": inner.read_bytes()})
    with pytest.raises(DataError, match=r"has inner\.zip: unpack it"):
        users(outer)
    with pytest.raises(DataError, match="an Excel workbook"):
        users(archive(tmp_path / "x.xlsx", dict.fromkeys(EXCEL, "<x/>")))
    (tmp_path / "out" / "ratings.csv").mkdir(parents=True)
    with pytest.raises(DataError, match=r"ratings\.csv is a folder: give it as data\.path"):
        users(tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (EXCEL, "an Excel workbook"),
        (("[Content_Types].xml", "xl/workbook.bin"), "an Excel workbook"),
        (("[Content_Types].xml", "word/document.xml"), "an Office document"),
        (("mimetype", "content.xml"), "an OpenDocument file"),
        (("Index/Document.iwa",), "a Numbers document"),
        (("user.npy", "rating.npy"), "a NumPy file"),
        (("archive/data.pkl",), "a PyTorch file"),
    ],
)
def test_a_file_of_a_program_that_is_an_archive_is_named(
    tmp_path: Path, names: tuple[str, ...], kind: str
) -> None:
    with pytest.raises(DataError, match=kind):
        users(archive(tmp_path / "x", dict.fromkeys(names, "x")))


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("ratings.json", b'[{"user": 7}]', "JSON; write it as CSV or Parquet"),
        ("ratings.jsonl.gz", gzip.compress(b'{"user": 7}\n'), "JSON"),
        ("ratings.db", b"SQLite format 3\0", "an SQLite database"),
        ("ratings.rds", gzip.compress(b"X\n\0\0\0\3"), "an R data file"),
        ("ratings.xlsx", b"PK\3\4\0[Content_Types].xml", "an Excel workbook"),
    ],
)
def test_what_a_folder_has_in_place_of_ratings_is_named(
    tmp_path: Path, name: str, content: bytes, kind: str, packed: bool
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(content)
    (tmp_path / "data" / "a folder").mkdir()
    base = archive(tmp_path / "x.zip", {name: content}) if packed else tmp_path / "data"
    with pytest.raises(DataError, match=f"has {re.escape(name)}: {kind}"):
        users(base)


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        # As BigQuery, Snowflake, Redshift and Glue name the files of a table.
        (["ratings-000000000000.csv", "ratings-000000000001.csv"], "ratings-{SPAN}.csv"),
        (["data_0_0_0.csv.gz", "data_0_1_0.csv.gz"], "data_0_{SPAN}_0.csv.gz"),
        (["ratings0000_part_00", "ratings0001_part_00"], "ratings{SPAN}_part_00"),
        (["run-7-part-r-00000", "run-7-part-r-00001"], "run-7-part-r-{SPAN}"),
        (["ratings-2014-01.csv", "ratings-2015-02.csv"], None),
        (["a.csv", "b.csv"], None),
    ],
)
def test_files_that_differ_in_a_number_can_be_read_as_spans(
    tmp_path: Path, names: list[str], pattern: str | None
) -> None:
    for name in names:
        content = RATINGS.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if ".gz" in name else content)
    with pytest.raises(DataError) as caught:
        users(tmp_path)
    assert ("{SPAN}" in str(caught.value)) == (pattern is not None)
    if pattern is not None:
        assert f" {pattern} there" in str(caught.value)
        path = str(tmp_path / pattern)
        read, _ = reading.read(path, ingest_options(load_config(None, [f"data.path={path}"])))
        assert read.ratings.num_rows == 6


def test_an_encrypted_archive_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {"ratings.csv": RATINGS})
    content = bytearray(path.read_bytes())
    # The flags of the member, where it begins and in the list at the end.
    for at in (6, content.index(b"PK\x01\x02") + 8):
        content[at] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"ratings\.csv is encrypted: unpack it"):
        users(path)


@pytest.mark.parametrize(("folder", "kind"), [("_delta_log", "Delta"), (".hoodie", "Hudi")])
def test_a_table_with_files_of_earlier_versions_is_refused(
    tmp_path: Path, folder: str, kind: str
) -> None:
    write(tmp_path, {"part-00000.csv": RATINGS, f"{folder}/0.json": "{}"})
    for edition in ("auto", "csv"):
        with pytest.raises(DataError, match=f"a {kind} table, .* write it as plain Parquet"):
            spans.find(str(tmp_path), edition, None).fingerprint()  # type: ignore[arg-type]


def test_what_nobody_can_read_in_a_folder_is_named_before_anybody_waits_for_it(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for link, target, problem in (
        ("ratings.csv", "pipe", "neither a file nor a folder"),
        ("ratings.csv", "absent", "a link to absent, which does not exist"),
    ):
        place = tmp_path / target.upper()
        place.mkdir()
        (place / link).symlink_to(tmp_path / target if target == "pipe" else target)
        with pytest.raises(DataError, match=problem):
            input_files.find(str(place), CSV)
    with pytest.raises(DataError, match="neither a file nor a folder"):
        recognition.recognise(str(tmp_path / "pipe"))


def test_a_name_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9.csv")).write_text(RATINGS)
    with pytest.raises(DataError, match=r"not UTF-8 \(b'r\\xe9\.csv'\): rename it"):
        users(tmp_path)


def test_a_file_of_parquet_may_be_compressed(tmp_path: Path) -> None:
    table = pa.table({"user": [7, 8], "item": [1, 2], "rating": [4, 5]})
    pq.write_table(table, tmp_path / "plain")
    packed = tmp_path / "ratings.parquet.gz"
    packed.write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    assert recognition.recognise(str(packed)) == "parquet"
    assert users(packed) == [7, 8]
    packed.write_bytes(packed.read_bytes()[:5])
    with pytest.raises(DataError, match="the archive is damaged or cut"):
        users(packed)


def test_one_file_of_any_name_holds_the_ratings(tmp_path: Path) -> None:
    (tmp_path / "export [1].tsv").write_text(RATINGS.replace(",", "\t"))
    assert users(tmp_path / "export [1].tsv") == users(tmp_path) == ["7", "7", "8"]
    (tmp_path / "other.csv").write_text(RATINGS)
    with pytest.raises(DataError, match=r"has export \[1\]\.tsv, other\.csv: give the one"):
        users(tmp_path)
