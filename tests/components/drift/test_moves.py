"""The moves between two weeks of real ratings, beside NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from benchmarks.poisonings import Array, rows_at_three
from components.drift.limits import DriftLimits
from components.drift.moves import moves, slim
from components.drift.report import NAMES, Move, compared_with, table
from pipeline import SCHEMA_FILE
from tests.components import weekly_ratings as weekly
from tests.components.weekly_ratings import Week

SCHEMA = text_format.Parse(SCHEMA_FILE.read_text(), schema_pb2.Schema())


def divergence(ours: Array, theirs: Array) -> float:
    """Jensen-Shannon divergence in bits, from its definition."""
    mean = (ours + theirs) / 2

    def entropy(shares: Array) -> float:
        some = shares[shares > 0]
        return float(-np.sum(some * np.log2(some)))

    return entropy(mean) - (entropy(ours) + entropy(theirs)) / 2


def histogram(stars: Array) -> Array:
    counts = np.bincount(stars.astype(int), minlength=6)
    return counts / counts.sum()


def genre_shares(ratings: Week) -> dict[bytes, float]:
    _, genres = weekly.year()
    flat = [genre for movie in ratings.movies[~ratings.held_out] for genre in genres[movie]]
    names, counts = np.unique(flat, return_counts=True)
    return dict(zip(names.tolist(), counts / len(flat), strict=True))


def found(before: Week, now: Week, stars: Array) -> dict[str, Move]:
    measured = moves(
        slim(weekly.train_statistics(before, before.stars)),
        slim(weekly.train_statistics(now, stars)),
        SCHEMA,
        DriftLimits(),
    )
    of_history = ["gone", "changed", "titles", "profiles", "late"]
    assert [*(move.name for move in measured), *of_history, "span"] == list(NAMES)
    return {move.name: move for move in measured}


def test_each_move_is_what_numpy_measures() -> None:
    """Back from half of the year to a quarter of it, with the ratings of three stars doubled."""
    before, now = weekly.week(26), weekly.week(13)
    stars = rows_at_three(0.5).change(now.users, now.stars, np.random.default_rng(0))
    moved = found(before, now, stars)
    old, new = ~before.held_out, ~now.held_out

    expected = divergence(histogram(before.stars[old]), histogram(stars[new]))
    assert moved["rating"].moved == pytest.approx(expected, rel=0.05)
    assert moved["ratings"].moved == pytest.approx(1 - new.sum() / old.sum())
    for name, before_ids, ids in (
        ("users", before.users[old], now.users[new]),
        ("movies", before.movies[old], now.movies[new]),
    ):
        fewer = 1 - len(np.unique(ids)) / len(np.unique(before_ids))
        assert moved[name].moved == pytest.approx(fewer)
    shares, shares_now = genre_shares(before), genre_shares(now)
    change = max(abs(shares[genre] - shares_now[genre]) for genre in shares)
    assert moved["genres"].moved == pytest.approx(change, abs=1e-6)
    activity = [
        rows.sum() / len(np.unique(week.users[rows])) for week, rows in ((before, old), (now, new))
    ]
    assert moved["activity"].moved == pytest.approx(abs(activity[1] / activity[0] - 1))
    days = (before.times[old].mean() - now.times[new].mean()) / 86_400
    assert moved["time"].moved == pytest.approx(days, rel=1e-6)


def test_growth_is_no_shrinking() -> None:
    moved = found(weekly.week(13), weekly.week(26), weekly.week(26).stars)
    assert [moved[name].moved for name in ("ratings", "users", "movies")] == [0, 0, 0]
    assert not moved["ratings"].exceeded


def test_a_move_as_far_as_its_limit_is_allowed() -> None:
    move = Move(name="time", measure="days", before="a", now="b", moved=30.0, allowed=30.0)
    assert not move.exceeded
    assert move.model_copy(update={"moved": 30.1}).exceeded


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ratings", "late"], "the last blessed version 7"),
        (["ratings", "span"], "the last blessed version 7 and the other spans"),
        # The version may have nothing to compare with.
        (["span"], "the other spans"),
    ],
)
def test_what_is_compared_with_is_what_the_moves_are_of(names: list[str], expected: str) -> None:
    moves = [
        Move(name=name, measure="days", before="1", now="2", moved=1.0, allowed=2.0)
        for name in names
    ]
    assert compared_with("7", moves) == expected


def test_the_table_has_a_line_for_each_move() -> None:
    move = Move(name="users", measure="share", before="1,000", now="400", moved=0.6, allowed=0.05)
    header, line = table([move])
    assert header.split() == ["name", "measure", "before", "now", "moved", "allowed"]
    assert line.split() == ["users", "share", "1,000", "400", "0.6", "0.05"]
