import json
from pathlib import Path

import pytest

from tests.movierec.cli.command import assert_refused, movierec

HEADER = "reader;isbn;score;date\n"


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Ratings of books from 1 to 10, in an export for Excel, with two bad rows."""
    rows = [
        f"{reader};b{book};{1 + (reader + book) % 10};{2020 + book % 3}-03-0{1 + reader % 9}\n"
        for reader in range(40)
        for book in range(10)
    ]
    path = tmp_path / "books [1].csv"
    path.write_text(HEADER + "".join(rows) + ";b1;3;2020-01-01\n7;b1;99;2020-01-01\n")
    return path


def test_a_report_says_what_is_there(books: Path) -> None:
    before = books.read_bytes()
    reader = ("--set", 'data.columns={user = "reader"}')
    result = movierec("data", "check", str(books), *reader, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["rows"], report["accepted"], report["rejected"]) == (402, 400, 2)
    assert report["rejected_by_reason"] == {"missing id": 1, "rating out of range": 1}
    (example,) = report["examples"]["rating out of range"]
    assert (example["row"], example["rating"]) == (401, "99")
    assert (report["users"], report["movies"], report["described"]) == (40, 10, None)
    assert report["ratings"] == {str(rating): 40 for rating in range(1, 11)}
    assert report["years"] == {"2020": 160, "2021": 120, "2022": 120}
    assert report["problem"] is None
    for part in ("csv", "semicolon", "ratings 0 to 10", "dates"):
        assert part in report["recognised"]
    text = movierec("data", "check", str(books), *reader).stdout
    assert report["recognised"] in text
    assert "row 402: user_id 7, movie_id b1, rating 99" in text
    assert books.read_bytes() == before
    assert list(books.parent.iterdir()) == [books]


def test_what_a_run_would_stop_at_is_exit_code_1(books: Path) -> None:
    with books.open("a") as file:
        file.writelines(f"7;b1;{rating};2020-01-01\n" for rating in ["good"] * 50)
    reader = ("--set", 'data.columns={user = "reader"}')
    result = movierec("data", "check", str(books), *reader)
    assert result.returncode == 1
    assert "50 rating not a number" in result.stdout
    assert "of 452 rows cannot be ratings" in result.stderr


def test_no_row_and_no_name_makes_the_terminal_do_something(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[2J[red]"
    folder.mkdir()
    rows = [f"{user},m{movie},4,1\n" for user in range(40) for movie in range(10)]
    bad = "\x1b]0;owned\x07\x1b[31m,m1,99,1\n"
    (folder / "ratings.csv").write_text("".join(["userId,movieId,rating,timestamp\n", *rows, bad]))
    result = movierec("data", "check", str(folder))
    assert "\x1b" not in result.stdout + result.stderr
    assert "\\x1b]0;owned\\x07" in result.stdout
    assert "\\x1b[2J[red]" in result.stdout


def test_what_cannot_be_read_is_one_line(books: Path, tmp_path: Path) -> None:
    assert_refused(movierec("data", "check", str(books)), "no column user", "delimiter semicolon")
    assert_refused(movierec("data", "check", str(tmp_path / "absent")), "does not exist")
    assert_refused(movierec("data", "check", "https://host/ml-1m.zip"), "not an address")
    assert_refused(movierec("data", "check", "~nosuchuser/ratings.csv"), "no such user")
    assert_refused(movierec("data", "check", ""), "expected a path")
    quoted = tmp_path / "a 'b' \"c\" \\t {d}.csv"
    quoted.write_text("user,movie,rating\n" + "1,2,\n" * 30)
    assert_refused(movierec("data", "check", str(tmp_path / 'absent"')), 'absent" does not exist')
    assert "30 rating not a number" in movierec("data", "check", str(quoted)).stdout
