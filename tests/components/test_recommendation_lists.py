"""What recommendation lists are measured by, beside loops over users and ids."""

from __future__ import annotations

import numpy as np
import pytest

from components.recommendation_lists import TrainingCounts, positions, profile_popularity


@pytest.mark.parametrize("kind", [object, "S4"])
def test_positions_are_those_of_the_ids(kind: type | str) -> None:
    ids = np.array([b"m3", b"m1", b"m20", b"x"], kind)
    wanted = np.array([b"x", b"m2", b"m3", b"", b"x"], kind)
    assert positions(ids, wanted).tolist() == [3, 4, 0, 4, 3]
    assert positions(ids[:0], wanted).tolist() == [0] * 5
    assert positions(ids, wanted[:0]).tolist() == []


def test_the_popularity_of_a_profile_is_the_mean_of_its_movies(rng: np.random.Generator) -> None:
    seen = [rng.choice(7, size, replace=False) for size in (3, 0, 7, 1)]
    popularity = rng.integers(1, 100, 7)
    counts = TrainingCounts(
        user_ids=np.array([b"a", b"b", b"c", b"d"], object),
        user_counts=np.array([3, 0, 7, 1]),
        movie_ids=np.array([b"%d" % movie for movie in range(7)], object),
        movie_counts=popularity,
        seen=np.concatenate(seen),
        # The last one is everybody who is not known.
        seen_splits=np.array([0, 3, 3, 10, 11, 11]),
    )
    users = np.array([3, 1, 0, 0])
    expected = [popularity[seen[user]].mean() if len(seen[user]) else np.nan for user in users]
    found = profile_popularity(counts, users)
    assert found == pytest.approx(np.array(expected), nan_ok=True)
