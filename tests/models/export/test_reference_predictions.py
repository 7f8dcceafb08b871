"""Reference predictions against the models' formulas, in NumPy's float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.catalogue import Catalogue
from models.columns import ColumnStorage
from models.export import reference_predictions
from models.export.reference_predictions import MAX_PAIRS
from tests.models.definitions import rating_of, retrieval_score
from tests.models.factories import MOVIES, USERS, trained_like

CATALOGUE = Catalogue(
    [f"u{index}" for index in range(USERS)],
    [1] * USERS,
    ["unknown", *(f"m{index}" for index in range(1, MOVIES))],
    [""] * MOVIES,
    [[]] * MOVIES,
)


def named_weights(model, *names: str) -> dict[str, np.ndarray]:
    return {name: getattr(model, name).numpy().astype(np.float64) for name in names}


ALL_PAIRS = {
    "user_index": np.repeat(np.arange(USERS + 1), MOVIES + 1).astype(np.int32),
    "movie_index": np.tile(np.arange(MOVIES + 1), USERS + 1).astype(np.int32),
}


def index_of(name: bytes, known: list[str]) -> int:
    """The index after the last one for an id that is not known."""
    return known.index(name.decode()) if name.decode() in known else len(known)


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("biased_mf", ("user_bias", "movie_bias", "user_embedding", "movie_embedding")),
        ("sigmoid_mf", ("user_bias", "movie_bias", "user_embedding", "movie_embedding")),
    ],
)
def test_ratings_follow_the_definition(
    name: str, tables: tuple[str, ...], rng: np.random.Generator
) -> None:
    model = trained_like(name, rng)
    found = reference_predictions.reference_predictions(model, ALL_PAIRS, CATALOGUE)
    weights = named_weights(model, *tables)
    pairs = [
        (index_of(user, CATALOGUE.user_ids), index_of(movie, CATALOGUE.movie_ids))
        for user, movie in zip(found.user_ids, found.movie_ids, strict=True)
    ]
    assert found.output == "rating"
    # All of them, the unknown user and movie among them.
    assert len(set(pairs)) == (USERS + 1) * (MOVIES + 1)
    expected = [np.clip(rating_of(name, weights, user, movie), 1, 5) for user, movie in pairs]
    np.testing.assert_allclose(found.values, expected, atol=2e-6)


def test_scores_of_what_only_retrieves_leave_unknown_movies_out(rng: np.random.Generator) -> None:
    model = trained_like("two_tower", rng)
    found = reference_predictions.reference_predictions(model, ALL_PAIRS, CATALOGUE)
    weights = named_weights(model, "user_embedding", "movie_embedding", "movie_bias")
    assert found.output == "score"
    assert set(found.movie_ids) == {name.encode() for name in CATALOGUE.movie_ids}
    assert len(found.values) == (USERS + 1) * MOVIES
    expected = [
        retrieval_score(
            weights, index_of(user, CATALOGUE.user_ids), index_of(movie, CATALOGUE.movie_ids)
        )
        for user, movie in zip(found.user_ids, found.movie_ids, strict=True)
    ]
    np.testing.assert_allclose(found.values, expected, atol=2e-6)


def test_of_many_pairs_some_are_taken_from_first_to_last(rng: np.random.Generator) -> None:
    users = np.sort(rng.integers(0, USERS, 3 * MAX_PAIRS)).astype(np.int32)
    pairs = {"user_index": users, "movie_index": np.zeros(len(users), np.int32)}
    found = reference_predictions.reference_predictions(
        trained_like("biased_mf", rng), pairs, CATALOGUE
    )
    assert len(found.values) == MAX_PAIRS
    assert set(found.user_ids) == {name.encode() for name in CATALOGUE.user_ids}


@pytest.mark.parametrize("name", ["biased_mf", "two_tower"])
def test_what_is_written_is_read(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    expected = reference_predictions.reference_predictions(
        trained_like(name, rng), ALL_PAIRS, CATALOGUE
    )
    reference_predictions.write(str(tmp_path), expected)
    found = reference_predictions.read(str(tmp_path))
    assert found.output == expected.output
    assert found.user_ids == expected.user_ids
    assert found.movie_ids == expected.movie_ids
    np.testing.assert_array_equal(found.values, expected.values)


def test_no_pair_gives_no_prediction(tmp_path: Path, rng: np.random.Generator) -> None:
    none = {name: values[:0] for name, values in ALL_PAIRS.items()}
    reference_predictions.write(
        str(tmp_path),
        reference_predictions.reference_predictions(
            trained_like("two_tower", rng), none, CATALOGUE
        ),
    )
    assert len(reference_predictions.read(str(tmp_path)).values) == 0


def test_only_ids_of_the_holdout_are_read_whatever_their_order(tmp_path: Path) -> None:
    """The records have no rating at all."""
    for split, pairs in (("eval", [(0, 0)]), ("holdout", [(2, 1), (0, 3), (2, 0)])):
        folder = tmp_path / f"Split-{split}"
        folder.mkdir()
        with tf.io.TFRecordWriter(str(folder / "part.gz"), "GZIP") as writer:
            for user, movie in pairs:
                example = tf.train.Example()
                example.features.feature["user_index"].int64_list.value.append(user)
                example.features.feature["movie_index"].int64_list.value.append(movie)
                writer.write(example.SerializeToString())
    files = reference_predictions.holdout_files([str(tmp_path / "Split-eval" / "*")])
    assert files == [str(tmp_path / "Split-holdout" / "*")]
    pairs = reference_predictions.read_pairs(files, ColumnStorage(1 << 20))
    assert pairs["user_index"].tolist() == [0, 2, 2]
    assert pairs["movie_index"].tolist() == [3, 0, 1]


def test_files_of_no_split_are_refused() -> None:
    with pytest.raises(ValueError, match="ends in eval"):
        reference_predictions.holdout_files(["/data/part-*"])
