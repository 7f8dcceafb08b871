"""The names of side features, and the numbers that models take from them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.side_features import (
    movie_features,
    movie_side_features,
    read_side_features,
    side_features,
    user_features,
)


def strings(values: list) -> tf.Tensor:
    return tf.constant(values, tf.string)


def test_users_are_named_by_the_step_of_their_age() -> None:
    ages = tf.constant([0, 1, 17, 18, 29, 30, 56, 99], tf.int64)
    found = user_features(ages, strings(["F"] * 8), strings([""] * 8))
    expected = ["", "age=0", "age=0", "age=18", "age=25", "age=30", "age=56", "age=56"]
    assert [name.decode() for (name,) in found["age"].numpy()] == expected
    assert set(found["gender"].numpy().ravel()) == {b"gender=F"}
    assert set(found["occupation"].numpy().ravel()) == {b""}


@pytest.mark.parametrize(
    ("year", "title", "expected"),
    [
        (0, "Heat (1995)", "year=1995"),
        (0, "Land Before Time III (1995) (V)", "year=1995"),
        (0, "2001: A Space Odyssey (1968)", "year=1960"),
        (1931, "Heat (1995)", "year=1"),
        (0, "1984", ""),
        (0, "", ""),
        (-3, "", ""),
        (2199, "", "year=2039"),
    ],
)
def test_a_year_is_the_one_given_or_that_of_the_title(year: int, title: str, expected: str) -> None:
    found = movie_features(strings([["War", ""]]), tf.constant([year]), strings([title]))
    assert found["year"].numpy().tolist() == [[expected.encode()]]
    assert found["genre"].numpy().tolist() == [[b"genre=War", b""]]


def test_a_row_has_unit_length_in_each_group_and_what_is_unknown_is_the_mean() -> None:
    lines = [b"m1\tgenre=War\t\tgenre=Drama\tyear=1995", b"m3\tgenre=War", b"m9\tgenre=Western",
             b"m1\tgenre=Western"]  # fmt: skip
    side = read_side_features(lines, ["m1", "m2", "m3"])
    assert side.names == ("genre=Drama", "genre=War", "year=1995")
    half = np.sqrt(0.5)
    np.testing.assert_allclose(side.matrix(3), [[half, half, 1], [0, 0, 0], [0, 1, 0]])
    # The second has no genre, and only the first has a year.
    np.testing.assert_allclose(side.means(3), [half / 2, (half + 1) / 2, 1])
    np.testing.assert_allclose(
        side.centred(3),
        [[half / 2, (half - 1) / 2, 0], [0, 0, 0], [-half / 2, (1 - half) / 2, 0]],
        atol=1e-6,
    )


def test_only_the_most_frequent_features_are_kept() -> None:
    rows = [["genre=all", f"genre={row}"] for row in range(300)]
    side = side_features(rows)
    assert len(side.names) == 256
    assert "genre=all" in side.names


def test_the_digest_tells_features_apart() -> None:
    sides = [
        side_features(rows)
        for rows in ([["a=1"], ["a=2"]], [["a=2"], ["a=1"]], [["a=1"], ["a=3"]], [["a=1"], []])
    ]
    assert len({side.digest() for side in sides}) == 4
    assert side_features([["a=1"], ["a=2"]]).digest() == sides[0].digest()


def test_movies_are_described_by_their_genres_and_the_year_of_the_title() -> None:
    side = movie_side_features([["War", "Drama"], [], []], ["Ran (1985)", "Heat (1995)", ""])
    assert side.names == ("genre=Drama", "genre=War", "year=1985", "year=1995")
    pairs = set(zip(side.row.tolist(), side.feature.tolist(), strict=True))
    assert pairs == {(0, 0), (0, 1), (0, 2), (1, 3)}


def test_data_without_features_have_none() -> None:
    side = read_side_features([], ["u1", "u2"])
    assert side.names == ()
    assert side.centred(2).shape == (2, 0)
