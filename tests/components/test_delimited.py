"""Text tables in every dialect, and every way in which one is damaged."""

import bz2
import csv
import dataclasses
import io
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.movielens_example_gen.options import Dialect
from components.movielens_example_gen.readers import delimited

RATINGS = delimited.Format(
    roles=("user", "movie", "rating", "timestamp"), required=("user", "movie", "rating")
)
MOVIES = delimited.Format(roles=("movie", "title", "genres"), required=("movie",))
HEADER = "userId,movieId,rating,timestamp\n"
# More bytes than pyarrow reads in one block, 1 MiB.
ROWS_OVER_A_BLOCK = 60_000


def read(
    folder: Path, text: str | bytes, form: delimited.Format = RATINGS, **dialect: Any
) -> delimited.TextTable:
    path = folder / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return delimited.read(str(path), form, Dialect(**dialect))


def rows(table: delimited.TextTable) -> list[tuple[str | None, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns.values()), strict=True))


def refused(
    folder: Path, text: str | bytes, form: delimited.Format = RATINGS, **dialect: Any
) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, text, form, **dialect)
    message = str(caught.value)
    assert message.startswith("table.csv: ")
    assert message.isprintable()
    return message


def many(count: int, start: int = 0) -> str:
    return "".join(f"{at},{at % 97},3.5,{964982703 + at}\n" for at in range(start, start + count))


@pytest.mark.parametrize("before", [2, ROWS_OVER_A_BLOCK], ids=["one block", "more blocks"])
@pytest.mark.parametrize("between", [0, 10, ROWS_OVER_A_BLOCK])
def test_two_stray_quotes_swallow_no_rows(tmp_path: Path, before: int, between: int) -> None:
    text = f'{HEADER}{many(before)}"5,7,3,9\n{many(between)}6,7,3,9"\n{many(3)}'
    assert f"line {before + 2} has a quote" in refused(tmp_path, text)


@pytest.mark.parametrize("before", [2, ROWS_OVER_A_BLOCK], ids=["one block", "more blocks"])
def test_a_line_break_in_quotes_is_refused_at_any_size(tmp_path: Path, before: int) -> None:
    lines = "".join(f"{at},Title {at},Drama\n" for at in range(before))
    text = f'movieId,title,genres\n{lines}x,"A title\nin two lines",Drama\n'
    assert f"line {before + 2} has a quote" in refused(tmp_path, text, MOVIES)


def test_a_movie_never_becomes_part_of_another_title(tmp_path: Path) -> None:
    text = 'movieId,title,genres\n1,"Heat,Crime\n2,Up,Drama\n3,"Girl, Interrupted",Drama\n'
    assert "line 2 has a quote" in refused(tmp_path, text, MOVIES)


def test_a_quote_inside_a_field_is_text(tmp_path: Path) -> None:
    text = 'movieId,title,genres\n1,12" Vinyl,Drama\n2,"Say ""Yes""",Drama\n'
    assert [row[1] for row in rows(read(tmp_path, text, MOVIES))] == ['12" Vinyl', 'Say "Yes"']


def test_quotes_may_be_escaped_by_a_backslash(tmp_path: Path) -> None:
    text = 'movieId,title,genres\n1,"Say \\"Yes\\", now",Drama\n2,"A ""B""",Drama\n'
    assert [row[1] for row in rows(read(tmp_path, text, MOVIES))] == ['Say "Yes", now', 'A "B"']


def test_a_field_may_end_with_a_backslash(tmp_path: Path) -> None:
    text = 'movieId,title,genres\n1,"C:\\",Drama\n2,Up,Drama\n'
    assert [row[1] for row in rows(read(tmp_path, text, MOVIES))] == ["C:\\", "Up"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_may_end_in_any_way_with_blank_ones_between(
    tmp_path: Path, end: str, last: bool
) -> None:
    lines = ["", "userId,movieId,rating,timestamp", '"1",2,3,4', "", "", "5,6,4,8"]
    table = read(tmp_path, end.join(lines) + end * last)
    assert rows(table) == [("1", "2", "3", "4"), ("5", "6", "4", "8")]


def test_a_last_line_that_is_cut_within_its_last_field_is_noted(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER + many(30)).cut_rows == ()
    assert read(tmp_path, (HEADER + many(30))[:-1]).cut_rows == ()
    assert read(tmp_path, (HEADER + many(30))[:-2]).cut_rows == (29,)
    assert "line 31 has 3 fields" in refused(tmp_path, (HEADER + many(30))[:-11])


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    text = "userId,movieId,rating,timestamp,rating\n1,2,3,4,5\n"
    assert "the column rating is there 2 times" in refused(tmp_path, text)


def test_two_columns_that_can_be_the_same_are_asked_for(tmp_path: Path) -> None:
    text = "userId,user_name,movieId,rating\n1,ann,2,3\n"
    assert "columns userId and user_name can both be the user" in refused(tmp_path, text)
    table = read(tmp_path, text, columns={"user": "user_name"})
    assert rows(table) == [("ann", "2", "3")]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    assert rows(read(tmp_path, b"\xef\xbb\xbf" + (HEADER + "1,2,3,4\n").encode())) == [
        ("1", "2", "3", "4")
    ]


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-16", "UTF-16; convert it with `iconv -f utf-16 "),
        ("utf-16-le", "UTF-16; convert it with `iconv -f utf-16le "),
        ("utf-16-be", "UTF-16; convert it with `iconv -f utf-16be "),
        ("utf-32", "UTF-32; convert it with `iconv -f utf-32 "),
    ],
)
def test_another_encoding_is_named_with_the_command_that_converts_it(
    tmp_path: Path, encoding: str, named: str
) -> None:
    assert named in refused(tmp_path, (HEADER + "1,2,3,4\n").encode(encoding))


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"SQLite format 3\0" + bytes(80), "an SQLite database"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(80), "an Excel workbook"),
        (bz2.compress(b"userId,movieId,rating\n1,2,3\n"), "compressed by bzip2"),
        (b"\xfd7zXZ\0", "compressed by xz"),
        (b"\x28\xb5\x2f\xfd\x04", "compressed by Zstandard"),
        (b"ARROW1\0\0", "an Arrow file"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF file"),
        (b"<!DOCTYPE html>\n<p>a,b,c\n", "a web page"),
        (b"\xef\xbb\xbf\n  <html><head>\n", "a web page"),
        (b"<table><tr><td>user</td></tr></table>", "a table of HTML"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<r/>", "an XML file"),
        (b"<Error><Code>AccessDenied</Code></Error>", "an XML file"),
        (b"[[7, 1, 4.5],\n [8, 2, 3]]", "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:a\n", "a pointer of Git LFS"),
        (b'{"userId": 1, "movieId": 2, "rating": 3}\n', "JSON"),
        (b'[{"userId": 1, "movieId": 2, "rating": 3}]', "JSON"),
        (pickle.dumps({"userId": [1], "rating": [3.0]}), "a pickle of Python"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\0\0\0\x01\0\x08\x06\0\0\0", "an image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01", "an image"),
        (b"ORC\n\x06\x12\x04\x08\x02P\0" + bytes(range(64)), "an ORC file"),
        (b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0[Content_Types].xml", "an Excel workbook"),
        (b"PK\x03\x04\x14\0\0\0\x08\0ratings.csv", "a zip archive; unpack it, or give it as"),
        (bytes(8) + b"DUCK" + bytes(range(64)), "a DuckDB database"),
        (zlib.compress(bytes(range(256)) * 9), "not a text file"),
        (np.random.default_rng(0).bytes(4_000).replace(b"\0", b"x"), "not a text file"),
        # Two bytes of nearly any kind are a printable letter of UTF-16.
        (bytes(range(0x4E, 0x9F)) * 9 + b"\0", "not a text file"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, start: bytes, kind: str) -> None:
    assert kind in refused(tmp_path, start)


def test_a_header_may_begin_like_a_binary_format(tmp_path: Path) -> None:
    for name in ("ORCID", "RDX", "BZhuser", "PAR1"):
        table = read(tmp_path, f"{name},movieId,rating\n1,2,3\n", columns={"user": name})
        assert rows(table) == [("1", "2", "3")]


@pytest.mark.parametrize("blank", ["", "  ", "\t "])
def test_blank_lines_are_no_rows_and_many_are_said(tmp_path: Path, blank: str) -> None:
    lines = [HEADER.strip(), *(f"{user},2,3,4" for user in range(30))]
    few = read(tmp_path, "\n".join([*lines, blank, blank, ""]))
    half = read(tmp_path, "".join(f"{line}\n{blank}\n" for line in lines))
    assert rows(few) == rows(half) == [(str(user), "2", "3", "4") for user in range(30)]
    assert few.recognised == half.recognised == ("delimiter comma",)
    assert (few.blank_lines, half.blank_lines) == (0, 31)


@pytest.mark.parametrize("above", ["  \n", "\t\n\n \n", "sep=,\n \n", "\ufeff  \n"])
@pytest.mark.parametrize("header", [HEADER, ""])
def test_white_space_above_a_table_with_quotes_is_no_line_break(
    tmp_path: Path, above: str, header: str
) -> None:
    text = f"{above}{header}" + '"5",7,3,9\n  \n' * 4
    assert rows(read(tmp_path, text)) == [("5", "7", "3", "9")] * 4
    assert "has a quote" in refused(tmp_path, f'{text}"6\n",7,3,9\n')


def test_a_table_of_hive_is_read(tmp_path: Path) -> None:
    """It has no header, and the delimiter is Ctrl-A."""
    table = read(tmp_path, "7\x011\x014.5\x01100\n8\x012\x01\\N\x01101\n")
    assert rows(table) == [("7", "1", "4.5", "100"), ("8", "2", "\\N", "101")]
    assert table.recognised == ("delimiter Ctrl-A, no header",)


def test_a_file_that_only_its_name_calls_compressed_is_read(tmp_path: Path) -> None:
    for name in ("table.csv.gz", "table.csv.bz2"):
        (tmp_path / name).write_text(HEADER + "1,2,3,4\n")
        assert rows(delimited.read(str(tmp_path / name), RATINGS, Dialect())) == [
            ("1", "2", "3", "4")
        ]


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_line_of_excel_may_name_the_delimiter(tmp_path: Path, line: str) -> None:
    for end in ("\n", "\r\n"):
        text = end.join([line, "user;movie;rating", '"1";2;3,5', "4;5;4", ""])
        assert rows(read(tmp_path, text)) == [("1", "2", "3,5"), ("4", "5", "4")]


@pytest.mark.parametrize("above", ["My ratings;;", ";;", "# from a shop; 2026;", "'a';b;c"])
def test_what_is_above_a_header_is_asked_to_be_removed(tmp_path: Path, above: str) -> None:
    found = refused(tmp_path, f"{above}\nuser;movie;rating\n1;2;3\n4;5;4\n")
    assert "the line 'user;movie;rating' names the columns: remove what is above it" in found


def test_row_numbers_of_r_are_no_users(tmp_path: Path) -> None:
    records = [(f'"{at}"', f"u{at % 3}", f"m{at}", 3) for at in range(1, 31)]
    for delimiter in ("\t", " ", ","):
        lines = [delimiter.join(map(str, record)) for record in records]
        head = delimiter.join(['"user"', '"movie"', '"rating"'])
        table = read(tmp_path, "\n".join([head, *lines]) + "\n")
        assert rows(table) == [(f"u{at % 3}", f"m{at}", "3") for at in range(1, 31)]
    # A decimal comma gives a field too many as well.
    lines = [f"u{at % 3},m{at},3,5" for at in range(1, 31)]
    assert "names 3 columns and every row has 4 fields ('u1, m" in refused(
        tmp_path, "\n".join(["user,movie,rating", *lines])
    )


def test_rows_with_a_field_more_than_the_header_are_explained(tmp_path: Path) -> None:
    for line in ('"{at}",u{at},m1,3', "u{at},m1,3,", "u{at},m1,3,5"):
        lines = [line.format(at=3 * at) for at in range(1, 31)]
        found = refused(tmp_path, "\n".join(["user,movie,rating", *lines]))
        assert "names 3 columns and every row has 4 fields ('" in found
        assert "name each column" in found


def test_bars_divide_genres_before_columns(tmp_path: Path) -> None:
    table = read(tmp_path, "1,Heat,Crime|Drama\n2,Up,Comedy|Drama\n", MOVIES)
    assert rows(table)[0] == ("1", "Heat", "Crime|Drama")
    table = read(tmp_path, "1|Heat|Crime\n2|Up|Comedy\n", MOVIES)
    assert rows(table)[0] == ("1", "Heat", "Crime")


def test_a_space_is_a_delimiter_where_no_other_fits(tmp_path: Path) -> None:
    table = read(tmp_path, "7 8 3.5\n7 9 4\n")
    assert (table.delimiter, rows(table)) == (" ", [("7", "8", "3.5"), ("7", "9", "4")])
    table = read(tmp_path, "user,movie,rating,date\n7,8,3,2020-01-01 10:00:00\n")
    assert table.delimiter == ","


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("".join(f"{at},7,8,3\n" for at in range(30)), "the first column counts the rows from 0"),
        ("".join(f"{at},7,8\n" for at in range(1, 31)), "the first column counts the rows from 1"),
        ("9,7,8,3,100\n9,7,9,3,100\n", "a line has 5 fields and no header names them"),
        ("0,1,2\n7,8,3\n7,9,3\n", "the first line, 0, 1, 2, numbers the columns"),
    ],
)
def test_numbers_of_rows_or_columns_are_not_taken_for_ratings(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problem in refused(tmp_path, text)


def test_columns_of_a_table_with_row_numbers_can_be_set(tmp_path: Path) -> None:
    text = "".join(f"{at},7,{at % 5},3\n" for at in range(30))
    table = read(tmp_path, text, columns={"user": "2", "movie": "3", "rating": "4"})
    assert rows(table)[4] == ("7", "4", "3")


def test_a_quote_after_a_space_is_refused(tmp_path: Path) -> None:
    text = 'user,movie,rating\n1, "2", 3\n'
    assert '"2" has a space before its quote' in refused(tmp_path, text)


def test_a_line_that_is_no_row_by_its_length_is_named(tmp_path: Path) -> None:
    long = "9" * 70_000
    assert "the first line is longer" in refused(tmp_path, long)
    assert "the second line is longer" in refused(tmp_path, f"{HEADER}1,2,3,{long}\n1,2,3,4\n")


def test_a_file_without_a_column_says_which(tmp_path: Path) -> None:
    found = refused(tmp_path, "user,item\n1,2\n1,3\n")
    assert "no column rating; the columns are user, item (delimiter comma)" in found
    assert "remove what stands above the table" in refused(
        tmp_path, "# made by me\n" + HEADER + many(5)
    )


@pytest.mark.parametrize(
    "header",
    [
        "User ID;Item_ID;SCORE;Date",
        "uid;isbn;Book-Rating;ts",
        "user;movie;stars;time",
        "user.id;movie.id;rating;timestamp",
        "r.user_id;r.movie_id;r.rating;r.timestamp",
        "user_id:token;item_id:token;rating:float;timestamp:float",
    ],
)
def test_common_names_are_recognised(tmp_path: Path, header: str) -> None:
    table = read(tmp_path, f"{header}\n1;2;3,5;4\n")
    assert (table.delimiter, rows(table)) == (";", [("1", "2", "3,5", "4")])


def test_the_name_of_a_user_is_no_title(tmp_path: Path) -> None:
    form = dataclasses.replace(RATINGS, by_name=("title",))
    table = read(tmp_path, "user.name,movie.id,rating\nann,2,3\n", form)
    assert [*table.columns] == ["user", "movie", "rating"]
    table = read(tmp_path, "reviewer.name,user,movie,rating,movie.name\nann,1,2,3,One\n", form)
    assert rows(table) == [("1", "2", "3", "One")]


def test_names_can_be_set(tmp_path: Path) -> None:
    text = "reader,work,liked\n1,2,3\n"
    columns = {"user": "reader", "movie": "work", "rating": "liked"}
    assert rows(read(tmp_path, text, columns=columns)) == [("1", "2", "3")]
    assert "no column book" in refused(tmp_path, text, columns={**columns, "movie": "book"})
    found = refused(tmp_path, "a,b,c\n1,2,3\n")
    assert "no column user, movie, rating; the columns are a, b, c (delimiter comma)" in found


def test_a_column_that_is_named_is_no_other_as_well(tmp_path: Path) -> None:
    """Here the time is that of playing."""
    table = read(tmp_path, "user,item,time\n1,2,3\n4,5,6\n", columns={"rating": "time"})
    assert table.header == {"user": "user", "movie": "item", "rating": "time"}


def test_without_a_header_columns_are_by_order_or_number(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "7\t8\t3\t9\n7\t9\t4\t9\n"))[0] == ("7", "8", "3", "9")
    table = read(tmp_path, "7,8,3\n7,9,4\n", columns={"user": "2", "movie": "1"})
    found = {role: column.to_pylist() for role, column in table.columns.items()}
    assert found == {"user": ["8", "9"], "movie": ["7", "7"], "rating": ["3", "4"]}
    assert "a number from 1 to 3" in refused(tmp_path, "7,8,3\n", columns={"user": "who"})
    table = read(tmp_path, "a,b,3\nc,d,4\n", header=False)
    assert rows(table) == [("a", "b", "3"), ("c", "d", "4")]


def test_two_delimiters_that_both_fit_are_asked_for(tmp_path: Path) -> None:
    text = "1;2;3,1,2\n4;5;6,4,5\n"
    assert "comma and semicolon can both divide" in refused(tmp_path, text)
    assert len(rows(read(tmp_path, text, delimiter=";"))) == 2


def test_a_file_without_a_delimiter_is_refused(tmp_path: Path) -> None:
    assert "set data.delimiter" in refused(tmp_path, "one\ntwo\n")


def test_a_title_may_end_with_a_colon(tmp_path: Path) -> None:
    form = delimited.Format(
        ("movie", "title", "genres"), ("movie",), delimiter="::", header=False, quoting=False
    )
    table = read(tmp_path, "1::Alien:::Horror\n2::Up::Drama\n", form)
    assert rows(table) == [("1", "Alien:", "Horror"), ("2", "Up", "Drama")]


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=8
)
ids = st.text("abcxyz0123456789_.é", min_size=1, max_size=6)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    drawn=st.lists(
        st.tuples(ids, ids, st.integers(1, 10), st.integers(0, 2**31), texts), min_size=1
    ),
    copies=st.sampled_from([1, 1, 1, ROWS_OVER_A_BLOCK]),
    delimiter=st.sampled_from([",", "\t", ";", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
    order=st.permutations(["userId", "movieId", "rating", "timestamp", "note"]),
)
def test_what_is_written_in_any_dialect_is_read_back(
    tmp_path: Path,
    drawn: list[tuple[str, str, int, int, str]],
    copies: int,
    delimiter: str,
    quoting: Any,
    end: str,
    mark: bool,
    order: list[str],
) -> None:
    names = ("userId", "movieId", "rating", "timestamp", "note")
    records = [dict(zip(names, map(str, row), strict=True)) for row in drawn]
    records = (records * (copies // len(records) + 1))[: max(copies, len(records))]
    text = io.StringIO()
    writer = csv.DictWriter(text, order, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writeheader()
    writer.writerows(records)
    content = text.getvalue().encode("utf-8-sig" if mark else "utf-8")
    table = read(tmp_path, content)
    assert table.delimiter == delimiter
    expected = [tuple(record[name] for name in names[:4]) for record in records]
    found = zip(
        *(table.columns[role].to_pylist() for role in ("user", "movie", "rating", "timestamp")),
        strict=True,
    )
    assert list(found) == expected
