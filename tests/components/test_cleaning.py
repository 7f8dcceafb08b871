import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.movielens_example_gen import cleaning

COLUMNS = ("user_id", "movie_id", "rating", "timestamp")


def raw(*rows: tuple[str | None, ...]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(
        {name: pa.array(values, pa.string()) for name, values in zip(COLUMNS, columns, strict=True)}
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((None, "1", "3", "9"), cleaning.MISSING_ID),
        (("7", None, "3", "9"), cleaning.MISSING_ID),
        (("7", "  ", "3", "9"), cleaning.MISSING_ID),
        (("7 8", "1", "3", "9"), cleaning.ID_HAS_SPACE),
        (("7", "1\t", "3", "9"), cleaning.ID_HAS_SPACE),
        (("7", "1", None, "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "good", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "nan", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "inf", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "1e999", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "99", "9"), cleaning.RATING_OUT_OF_RANGE),
        (("7", "1", "0", "9"), cleaning.RATING_OUT_OF_RANGE),
        (("7", "1", "-3", "9"), cleaning.RATING_OUT_OF_RANGE),
        (("7", "1", "3", None), cleaning.TIMESTAMP_NOT_A_NUMBER),
        (("7", "1", "3", "yesterday"), cleaning.TIMESTAMP_NOT_A_NUMBER),
        (("7", "1", "3", "9.5"), cleaning.TIMESTAMP_NOT_A_NUMBER),
        (("7", "1", "3", "+5"), cleaning.TIMESTAMP_NOT_A_NUMBER),
        (("7", "1", "+3", "9"), cleaning.RATING_NOT_A_NUMBER),
        (("7", "1", "3", "9" * 19), cleaning.TIMESTAMP_NOT_A_NUMBER),
    ],
)
def test_a_row_that_cannot_be_a_rating_is_set_aside(
    row: tuple[str | None, ...], reason: str
) -> None:
    cleaned = cleaning.clean(raw(("1", "1", "3", "9"), row), 0.5, 5.0)
    assert cleaned.accepted["row"].to_pylist() == [0]
    (rejected,) = cleaned.rejected.to_pylist()
    assert rejected["reason"] == reason
    assert tuple(rejected[name] for name in COLUMNS) == row


@pytest.mark.parametrize("text", ["4", "4.0", " 4", "4.", "04", "40e-1"])
def test_the_same_number_may_be_written_in_many_ways(text: str) -> None:
    cleaned = cleaning.clean(raw(("7", "1", text, "9")), 0.5, 5.0)
    assert cleaned.accepted["rating"].to_pylist() == [4.0]


def test_of_ratings_of_one_movie_by_one_user_the_newest_stays() -> None:
    cleaned = cleaning.clean(
        raw(
            ("7", "1", "1", "20"),
            ("7", "1", "2", "30"),
            ("7", "1", "3", "10"),
            ("8", "1", "4", "5"),
            ("7", "2", "5", "5"),
            ("7", "2", "4", "5"),
        ),
        0.5,
        5.0,
    )
    assert cleaned.accepted["row"].to_pylist() == [1, 3, 5]
    assert cleaned.rejected_by_reason == {cleaning.DUPLICATE: 3}


def test_a_rejected_rating_does_not_supersede_a_good_one() -> None:
    cleaned = cleaning.clean(raw(("7", "1", "4", "1"), ("7", "1", "99", "2")), 0.5, 5.0)
    assert cleaned.accepted["row"].to_pylist() == [0]
    assert cleaned.rejected_by_reason == {cleaning.RATING_OUT_OF_RANGE: 1}


cells = st.one_of(st.none(), st.text(max_size=6), st.integers(-9, 9).map(str), st.just("3.5"))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(cells, cells, cells, cells), min_size=1, max_size=20))
def test_every_row_is_either_accepted_or_rejected(rows: list[tuple[str | None, ...]]) -> None:
    cleaned = cleaning.clean(raw(*rows), 0.5, 5.0)
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
    cleaned = cleaning.clean(raw(*rows, ("7", "a", "99", "9"), ("", "b", "3", "9")), 0.5, 5.0)
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
        cleaning.require_few_rejected(cleaning.clean(table, 0.5, 5.0), 0, 1.0)
