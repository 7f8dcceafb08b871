from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.movielens_example_gen import cleaning
from components.movielens_example_gen.options import Dialect, RowBounds
from components.movielens_example_gen.readers.edition import RawRatings

COLUMNS = ("user_id", "movie_id", "rating", "timestamp")


BOUNDS = RowBounds(rating_min=-1e6, rating_max=1e6, timestamp_min=0, timestamp_max=4_102_444_800)


def raw(*rows: tuple[str | None, ...]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(
        {name: pa.array(values, pa.string()) for name, values in zip(COLUMNS, columns, strict=True)}
    )


def clean(
    table: pa.Table,
    dialect: Dialect | None = None,
    scale: tuple[float, float] | None = (0.5, 5.0),
    **about: Any,
) -> cleaning.CleanRatings:
    return cleaning.clean(RawRatings(table, **about), BOUNDS, dialect or Dialect(), scale)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((None, "1", "3", "9"), cleaning.MISSING_ID),
        (("7", None, "3", "9"), cleaning.MISSING_ID),
        (("7", "  ", "3", "9"), cleaning.MISSING_ID),
        (("7 8", "1", "3", "9"), cleaning.ID_HAS_SPACE),
        (("7", "1\t2", "3", "9"), cleaning.ID_HAS_SPACE),
        (("7", "1\u00a02", "3", "9"), cleaning.ID_HAS_SPACE),
        (("7", "1\u30002", "3", "9"), cleaning.ID_HAS_SPACE),
        (("7", "1\u2028x", "3", "9"), cleaning.ID_HAS_SPACE),
        (("7", "1\x00", "3", "9"), cleaning.ID_HAS_SPACE),
        (("7", "1\x85x", "3", "9"), cleaning.ID_HAS_SPACE),
        (("nan", "1", "3", "9"), cleaning.MISSING_ID),
        (("7", "NULL", "3", "9"), cleaning.MISSING_ID),
        (("NA", "1", "3", "9"), cleaning.MISSING_ID),
        (("7", "\\N", "3", "9"), cleaning.MISSING_ID),
        (("#REF!", "1", "3", "9"), cleaning.MISSING_ID),
        (("7", "#DIV/0!", "3", "9"), cleaning.MISSING_ID),
        (("(null)", "1", "3", "9"), cleaning.MISSING_ID),
        (("7", "undefined", "3", "9"), cleaning.MISSING_ID),
        (("7", "\u200b", "3", "9"), cleaning.MISSING_ID),
        (("1.23E+12", "1", "3", "9"), cleaning.ID_LOST_DIGITS),
        (("7", "u" * 1001, "3", "9"), cleaning.ID_TOO_LONG),
        (("7", "1e+16", "3", "9"), cleaning.ID_LOST_DIGITS),
        (("7", "1", None, "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "good", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "nan", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "inf", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "1e999", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "99", "9"), cleaning.RATING_OUT_OF_RANGE),
        (("7", "1", "0", "9"), cleaning.RATING_OUT_OF_RANGE),
        (("7", "1", "-3", "9"), cleaning.RATING_OUT_OF_RANGE),
        (("7", "1", "3", None), cleaning.TIMESTAMP_NOT_A_TIME),
        (("7", "1", "3", "yesterday"), cleaning.TIMESTAMP_NOT_A_TIME),
        (("7", "1", "3", "9.5"), cleaning.TIMESTAMP_NOT_A_TIME),
        (("7", "1", "3", "-1"), cleaning.TIMESTAMP_OUT_OF_RANGE),
        (("7", "1", "3", "4102444801"), cleaning.TIMESTAMP_OUT_OF_RANGE),
        (("7", "1", "3", "1e300"), cleaning.TIMESTAMP_NOT_A_TIME),
        (("7", "1", "3", "2020-13-01"), cleaning.TIMESTAMP_NOT_A_TIME),
        (("7", "1", "3", "3 April 2020"), cleaning.TIMESTAMP_NOT_A_TIME),
        (("7", "1", "--3", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "3", "9" * 19), cleaning.TIMESTAMP_NOT_A_TIME),
    ],
)
def test_a_row_that_cannot_be_a_rating_is_set_aside(
    row: tuple[str | None, ...], reason: str
) -> None:
    cleaned = clean(raw(("1", "1", "3", "9"), row))
    assert cleaned.accepted["row"].to_pylist() == [0]
    (rejected,) = cleaned.rejected.to_pylist()
    assert rejected["reason"] == reason
    assert tuple(rejected[name] for name in COLUMNS) == row


@pytest.mark.parametrize(
    "text", ["4", "4.0", " 4", "4.", "04", "40e-1", "+4.0", "4,0", "\u00a04\u200b", "4\ufeff"]
)
def test_the_same_number_may_be_written_in_many_ways(text: str) -> None:
    cleaned = clean(raw(("7", "1", text, "9")))
    assert cleaned.accepted["rating"].to_pylist() == [4.0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("964982703", 964982703),
        ("964982703.0", 964982703),
        ("+964982703", 964982703),
        ("1.0e+08", 100_000_000),
        (" 12 ", 12),
        ("2000-07-30", 964915200),
        ("2000-07-30 18:45:03", 964982703),
        ("2000-07-30T18:45:03.9", 964982703),
        ("2000-07-30T18:45:03Z", 964982703),
        ("2000-07-30T20:45:03+02:00", 964982703),
        ("2000-07-30 18:45:03 UTC", 964982703),
        ("2000-7-30 6:45:03 PM", 964982703),
        ("2000/7/30 18:45", 964982700),
        ("2000-07-30 12:45 a.m.", 964917900),
        ("30.7.2000 9:05", 964947900),
        ("7/30/2000 12:05 PM", 964958700),
        ("964982703.75", 964982703),
        # As Snowflake, Ruby, Java and JavaScript write it, and ISO 8601 without dashes.
        ("2000-07-30 18:45:03.000 +0000", 964982703),
        ("2000-07-30 11:45:03 -0700", 964982703),
        ("2000-07-30T20:45:03+02:00[Europe/Paris]", 964982703),
        ("2000-07-30T18:45:03Z[UTC]", 964982703),
        ("7/30/2000, 6:45:03 PM", 964982703),
        ("7/30/2000, 6:45:03\u202fPM", 964982703),
        ("20000730T184503Z", 964982703),
        ("2000-07", 962409600),
    ],
)
def test_a_time_may_be_written_in_many_ways(text: str, seconds: int) -> None:
    for others in ((), ("100",), ("2001-01-01", "2001-01-01T00:00:00Z")):
        rows = [("8", str(at), "4", other) for at, other in enumerate(others)]
        cleaned = clean(raw(("7", "1", "4", text), *rows))
        assert cleaned.accepted["timestamp"].to_pylist()[0] == seconds
        assert cleaned.rejected.num_rows == 0


@pytest.mark.parametrize(
    ("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]
)
def test_the_unit_of_times_is_recognised_or_set(unit: Any, factor: int) -> None:
    rows = [("7", str(movie), "3", str((964982703 + movie) * factor)) for movie in range(5)]
    for dialect in (Dialect(), Dialect(timestamp_unit=unit)):
        cleaned = clean(raw(*rows), dialect)
        assert cleaned.accepted["timestamp"].to_pylist() == [964982703 + at for at in range(5)]


def cleaned_times(*texts: str, order: Any = None) -> list[int]:
    rows = [("7", str(movie), "3", text) for movie, text in enumerate(texts)]
    found: list[int] = (
        clean(raw(*rows), Dialect(date_order=order)).accepted["timestamp"].to_pylist()
    )
    return found


def test_the_order_of_dates_is_recognised_or_set() -> None:
    # 2020-04-03, 2020-03-04, 2020-04-13 and 2020-04-14.
    april_3, march_4, april_13, april_14 = 1585872000, 1583280000, 1586736000, 1586822400
    assert cleaned_times("03/04/2020", "13/04/2020") == [april_3, april_13]
    assert cleaned_times("03-04-2020 00:00:05", "04.14.2020") == [march_4 + 5, april_14]
    assert cleaned_times("3/4/2020", "4/3/2020", order="dmy") == [april_3, march_4]
    assert cleaned_times("3/4/2020", order="mdy") == [march_4]
    assert cleaned_times("2020/04/03", "2020.04.13") == [april_3, april_13]


@pytest.mark.parametrize("texts", [("03/04/2020", "04/03/2020"), ("13/04/2020", "04/13/2020")])
def test_dates_that_can_be_two_days_are_asked_about(texts: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"such as \S+/2020 can be two days: set data\.date_order"):
        cleaned_times(*texts)
    # A few of them among other times are damage.
    others = [str(10**9 + second) for second in range(5)]
    assert len(cleaned_times(*others, "03/04/2020")) == 5


@pytest.mark.parametrize(
    ("texts", "meaning"),
    [
        (("43934", "43990"), "days as Excel counts them"),
        (("18365", "18421.0"), "days since 1970"),
        (("440760", "442104"), "hours"),
        (("26445600", "26526240"), "minutes"),
        (("200413", "200608"), "years, months and days"),
        (("2020104", "2020160"), "years and days"),
    ],
)
def test_times_in_a_unit_that_is_not_read_are_asked_about(
    texts: tuple[str, str], meaning: str
) -> None:
    with pytest.raises(DataError, match=r"from \d+ to \d+ can be seconds of 1970 or 1971, or days"):
        cleaned_times(*texts)
    rows = [("7", str(at), "3", text) for at, text in enumerate(texts)]
    seconds = clean(raw(*rows), Dialect(timestamp_unit="s")).accepted["timestamp"]
    assert seconds.to_pylist() == [int(float(text)) for text in texts], meaning


def test_numbers_that_count_from_their_own_start_are_seconds() -> None:
    assert cleaned_times("0", "43990") == [0, 43990]


def test_ticks_of_other_clocks_are_no_nanoseconds() -> None:
    """Of .NET, 100 nanoseconds since the year 1, and of Windows, since 1601."""
    for since in (621_355_968_000_000_000, 116_444_736_000_000_000):
        assert cleaned_times(str(since + 1_600_000_000 * 10**7)) == []


def test_nanoseconds_may_be_floats() -> None:
    assert cleaned_times("1.6e18", "1600000001000000000.0") == [1_600_000_000, 1_600_000_001]


def test_numbers_that_are_times_in_no_unit_are_set_aside() -> None:
    cleaned = clean(raw(*(("7", str(movie), "3", "9000000000") for movie in range(5))))
    assert cleaned.rejected_by_reason == {cleaning.TIMESTAMP_OUT_OF_RANGE: 5}


def test_times_in_two_units_are_not_read_in_one() -> None:
    times = [964982703_000 + at for at in range(60)] + [964982703 + at for at in range(40)]
    cleaned = clean(raw(*(("7", str(at), "3", str(time)) for at, time in enumerate(times))))
    assert cleaned.accepted["timestamp"].to_pylist() == [964982703] * 60
    assert cleaned.rejected_by_reason == {cleaning.TIMESTAMP_NOT_A_TIME: 40}


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [
        (("20000730", "20001231"), [964915200, 978220800]),
        (("20000730184503", "20000730000000"), [964982703, 964915200]),
        (("2000", "1999"), [946684800, 915148800]),
        (("200007", "200012"), [962409600, 975628800]),
    ],
)
def test_numbers_can_be_dates(texts: tuple[str, ...], seconds: list[int]) -> None:
    assert cleaned_times(*texts) == seconds
    # A number whose unit is set is none.
    rows = [("7", str(at), "3", text) for at, text in enumerate(texts)]
    set_unit = clean(raw(*rows[:1]), Dialect(timestamp_unit="us")).accepted["timestamp"].to_pylist()
    assert set_unit == [int(texts[0]) // 10**6]


def test_missing_times_do_not_make_dates_seconds() -> None:
    texts = ["20000730"] * 9 + [None]
    cleaned = clean(raw(*(("7", str(at), "3", text) for at, text in enumerate(texts))))
    assert cleaned.accepted["timestamp"].to_pylist() == [964915200] * 9
    assert cleaned.rejected["row"].to_pylist() == [9]


def test_a_day_that_no_month_has_is_set_aside() -> None:
    texts = ["20000229"] * 199 + ["20010229"]
    cleaned = clean(raw(*(("7", str(at), "3", text) for at, text in enumerate(texts))))
    assert cleaned.rejected["row"].to_pylist() == [199]


def test_a_column_of_no_times_is_none() -> None:
    cleaned = clean(raw(("7", "1", "3", None), ("7", "2", "3", None)))
    assert cleaned.accepted["timestamp"].to_pylist() == [0, 0]
    assert cleaned.recognised[1] == "no times"


BLANK_ROW = (None, None, None, None)


def test_blank_rows_at_the_end_are_no_damage() -> None:
    rows = [("7", "1", "3", "1"), *[BLANK_ROW] * 8, (" ", None, "NULL", "5")]
    cleaned = clean(raw(*rows))
    assert cleaned.rejected_by_reason == {cleaning.BLANK_END: 9}
    cleaning.require_few_rejected(cleaned, 10, 0.0)


def test_blank_rows_among_others_are_damage() -> None:
    rows = [("7", "1", "3", "1"), BLANK_ROW, ("8", "1", "3", "1"), BLANK_ROW]
    cleaned = clean(raw(*rows))
    assert cleaned.rejected_by_reason == {cleaning.BLANK: 1, cleaning.BLANK_END: 1}
    with pytest.raises(DataError, match=r"1 of 3 rows cannot be ratings .* 1 blank row;"):
        cleaning.require_few_rejected(cleaned, 4, 0.3)


def test_each_file_has_an_end() -> None:
    rows = [("7", "1", "3", "1"), BLANK_ROW, BLANK_ROW, ("8", "1", "3", "1"), BLANK_ROW]
    assert clean(raw(*rows), file_rows=(2, 1, 2)).rejected_by_reason == {cleaning.BLANK_END: 3}


def test_blank_rows_at_the_end_hide_no_damage() -> None:
    rows = [("7", "1", "3", "1"), ("7", "2", "x", "1"), *[BLANK_ROW] * 998]
    cleaned = clean(raw(*rows))
    with pytest.raises(DataError, match="1 of 2 rows cannot be ratings"):
        cleaning.require_few_rejected(cleaned, 1_000, 0.01)


def test_booleans_are_thumbs() -> None:
    rows = [("7", str(at), text, "1") for at, text in enumerate(["True", "FALSE", "true"])]
    cleaned = clean(raw(*rows), scale=None)
    assert cleaned.accepted["rating"].to_pylist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (("Like", "dislike", "LIKE"), [1, 0, 1]),
        (("thumbs_up", "Thumbs down"), [1, 0]),
        (("👍", "👎"), [1, 0]),
        (("T", "F"), [1, 0]),
        (("yes", "no"), [1, 0]),
        (("4/5", "3,5 / 5", "1/5"), [4, 3.5, 1]),
        (("4 out of 5", "3 out of 5"), [4, 3]),
        (("80%", "40 %", "100%"), [80, 40, 100]),
        (("1 star", "4 stars"), [1, 4]),
        (("\u22121", "+1"), [-1, 1]),
    ],
)
def test_ratings_may_be_words_or_end_alike(texts: tuple[str, ...], numbers: list[float]) -> None:
    rows = [("7", str(at), text, "1") for at, text in enumerate(texts)]
    cleaned = clean(raw(*rows), scale=(-1.0, 100.0))
    assert cleaned.accepted["rating"].to_pylist() == numbers


@pytest.mark.parametrize("texts", [("4", "4/5"), ("4/5", "3/5", "8/10"), ("3 Mai", "4/5")])
def test_ratings_that_end_otherwise_are_set_aside(texts: tuple[str, ...]) -> None:
    rows = [("7", str(at), text, "1") for at, text in enumerate(texts)]
    cleaned = clean(raw(*rows), scale=(0.0, 100.0))
    assert cleaned.rejected_by_reason == {cleaning.RATING_NOT_A_NUMBER: 1}


def test_minus_one_among_stars_is_asked_about() -> None:
    rows = [("7", str(at), "-1" if at < 20 else "7", "1") for at in range(100)]
    with pytest.raises(DataError, match=r"-1, which can stand for no rating: set data\.rating"):
        clean(raw(*rows), scale=None)
    kept = clean(raw(*rows), Dialect(rating_range=(-1, 10)), scale=None)
    assert kept.rejected.num_rows == 0


def test_ratings_without_times_are_of_the_same_moment() -> None:
    table = raw(("7", "1", "3", "9"), ("7", "1", "4", "1")).drop_columns(["timestamp"])
    cleaned = clean(table)
    assert cleaned.accepted.to_pylist() == [
        {"row": 1, "user_id": "7", "movie_id": "1", "rating": 4.0, "timestamp": 0}
    ]


def test_ids_are_the_same_however_they_are_padded() -> None:
    rows = [("7", "1", "3", "1"), (" 7", "1\u200b", "4", "2"), ("\ufeff7\u3000", "1\t", "5", "3")]
    cleaned = clean(raw(*rows))
    assert cleaned.accepted["row"].to_pylist() == [2]
    assert cleaned.accepted["user_id"].to_pylist() == ["7"]
    assert cleaned.accepted["movie_id"].to_pylist() == ["1"]


def test_ids_that_pandas_made_floats_are_whole_numbers() -> None:
    whole = clean(raw(("7.0", "1", "3", "1"), (None, "1", "3", "1"), ("8.0", "1", "3", "1")))
    assert whole.accepted["user_id"].to_pylist() == ["7", "8"]
    # As where one week's file has a missing id, and the next one's has none.
    weeks = clean(raw(("7.0", "1", "3", "1"), ("7", "2", "3", "1")))
    assert weeks.accepted["user_id"].to_pylist() == ["7", "7"]
    mixed = clean(raw(("7.0", "1", "3", "1"), ("7.5", "1", "3", "1")))
    assert mixed.accepted["user_id"].to_pylist() == ["7.0", "7.5"]
    floats = raw(("7", "1", "3", "1")).set_column(0, "user_id", pa.array([7.0]))
    assert clean(floats).accepted["user_id"].to_pylist() == ["7"]


def test_a_repeated_header_is_one_bad_row() -> None:
    header = {"user_id": "userId", "movie_id": "movieId", "rating": "rating"}
    rows = [("7", "1", "3", "1"), ("\ufeffuserId", "movieId", "rating", "timestamp")]
    cleaned = clean(raw(*rows), header=header)
    assert cleaned.rejected_by_reason == {cleaning.REPEATED_HEADER: 1}


def test_a_cut_last_row_is_set_aside() -> None:
    cleaned = clean(raw(("7", "1", "3", "1"), ("7", "2", "3", "1")), cut_rows=(1,))
    assert cleaned.rejected_by_reason == {cleaning.CUT: 1}


def test_ratings_between_two_steps_are_set_aside() -> None:
    rows = [("7", str(at), text, "1") for at, text in enumerate(["0.5", "3", "4.5", "4.4"])]
    cleaned = clean(raw(*rows), Dialect(rating_step=0.5))
    assert cleaned.rejected["row"].to_pylist() == [3]
    assert cleaned.rejected_by_reason == {cleaning.RATING_BETWEEN_STEPS: 1}


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1, 3, 5], (0.5, 5)),
        ([0, 0.5, 3, 5], (0, 5)),
        ([1, 7, 8, 10], (0, 10)),
        ([1, 50, 60, 100], (0, 100)),
        ([-9.5, -3, 2, 8], (-10, 10)),
        ([0, 1], (0, 1)),
        ([-1, 1], (-1, 1)),
    ],
)
def test_a_common_scale_is_recognised(values: list[float], scale: tuple[float, float]) -> None:
    rows = [("7", str(at), str(value), "1") for at, value in enumerate(values)]
    cleaned = clean(raw(*rows), scale=None)
    assert cleaned.rejected.num_rows == 0
    assert cleaned.recognised[0] == f"ratings {scale[0]:g} to {scale[1]:g}"


def test_a_scale_that_can_be_read_in_two_ways_is_asked_for() -> None:
    rows = [("7", str(at), "99" if at < 5 else "4", "1") for at in range(100)]
    with pytest.raises(DataError, match=r"95\.0% are from 0\.5 to 5: set data\.rating_range"):
        clean(raw(*rows), scale=None)
    with pytest.raises(DataError, match="no common scale"):
        clean(raw(("7", "1", "4000", "1")), scale=None)
    cleaned = clean(raw(*rows), Dialect(rating_range=(0, 99)), scale=None)
    assert cleaned.rejected.num_rows == 0


def test_re_ratings_are_no_damage() -> None:
    rows = [("7", "1", "3", str(at)) for at in range(10)]
    cleaned = clean(raw(*rows))
    assert cleaned.rejected_by_reason == {cleaning.DUPLICATE: 9}
    cleaning.require_few_rejected(cleaned, 10, 0.0)


def test_of_ratings_of_one_movie_by_one_user_the_newest_stays() -> None:
    cleaned = clean(
        raw(
            ("7", "1", "1", "20"),
            ("7", "1", "2", "30"),
            ("7", "1", "3", "10"),
            ("8", "1", "4", "5"),
            ("7", "2", "5", "5"),
            ("7", "2", "4", "5"),
        )
    )
    assert cleaned.accepted["row"].to_pylist() == [1, 3, 5]
    assert cleaned.rejected_by_reason == {cleaning.DUPLICATE: 3}


def test_the_newest_rating_of_each_pair_stays_among_many() -> None:
    """By definition: of equal times, the last row."""
    draws = np.random.default_rng(5).integers(0, [9, 7, 4], (150, 3))
    rows = [(f"u{user}", f"m{movie}", "3", f"{time}") for user, movie, time in draws]
    newest: dict[tuple[str, str], tuple[int, int]] = {}
    for row, (user, movie, _, time) in enumerate(rows):
        newest[user, movie] = max(newest.get((user, movie), (0, 0)), (int(time), row))
    kept = clean(raw(*rows)).accepted["row"].to_pylist()
    assert kept == sorted(row for _, row in newest.values())


def test_a_rejected_rating_does_not_supersede_a_good_one() -> None:
    cleaned = clean(raw(("7", "1", "4", "1"), ("7", "1", "99", "2")))
    assert cleaned.accepted["row"].to_pylist() == [0]
    assert cleaned.rejected_by_reason == {cleaning.RATING_OUT_OF_RANGE: 1}


cells = st.one_of(st.none(), st.text(max_size=6), st.integers(-9, 9).map(str), st.just("3.5"))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(cells, cells, cells, cells), min_size=1, max_size=20))
def test_every_row_is_either_accepted_or_rejected(rows: list[tuple[str | None, ...]]) -> None:
    cleaned = clean(raw(*rows))
    kept = cleaned.accepted["row"].to_pylist() + cleaned.rejected["row"].to_pylist()
    assert sorted(kept) == list(range(len(rows)))
    assert all(0.5 <= rating <= 5.0 for rating in cleaned.accepted["rating"].to_pylist())
    pairs = list(
        zip(
            cleaned.accepted["user_id"].to_pylist(),
            cleaned.accepted["movie_id"].to_pylist(),
            strict=True,
        )
    )
    assert len(set(pairs)) == len(pairs)


def test_too_many_rejected_rows_fail_with_the_counts_and_the_first() -> None:
    rows = [("7", str(movie), "3", "9") for movie in range(8)]
    cleaned = clean(raw(*rows, ("7", "a", "99", "9"), ("", "b", "3", "9")))
    cleaning.require_few_rejected(cleaned, 10, 0.2)
    with pytest.raises(DataError) as caught:
        cleaning.require_few_rejected(cleaned, 10, 0.19)
    message = str(caught.value)
    assert "2 of 10 rows cannot be ratings (20.00%" in message
    assert "1 rating out of range" in message
    assert "1 missing id" in message
    assert "row 9: user 7, movie a, rating 99, timestamp 9" in message


def test_no_rows_at_all_is_an_error() -> None:
    table = pa.table({name: pa.array([], pa.string()) for name in COLUMNS})
    with pytest.raises(DataError, match="no rows"):
        cleaning.require_few_rejected(clean(table), 0, 1.0)
