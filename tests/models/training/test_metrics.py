"""Metrics of the eval split against their definitions, in NumPy's float64."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import tensorflow as tf

from models.columns import Columns
from models.contracts import RankingModel
from models.options import ModelOptions, TrainingOptions
from models.seen_movies import SeenMovies
from models.training.devices import Processes
from models.training.history import best_epoch, best_eval_figure
from models.training.loop import TrainingLoop
from models.training.metrics import (
    NormalizedDiscountedCumulativeGain,
    criterion_for,
    of_even_users,
    top_k_accuracy,
)
from tests.models.definitions import Weights, retrieval_score
from tests.models.factories import MOVIES, USERS, ratings, statistics, trained_like

LIKED = 4.0


def build(rng: np.random.Generator) -> tuple[RankingModel, Weights]:
    """A model that retrieves, and its weights."""
    model = trained_like("two_tower", rng)
    tables = ("user_embedding", "movie_embedding", "movie_bias")
    return model, {name: getattr(model, name).numpy().astype(np.float64) for name in tables}


def ndcg_of(w: Weights, pairs: Columns) -> float:
    """By definition: each user's movies in order, without those seen."""
    seen, found = statistics().seen, []
    liked = [
        (u, i)
        for u, i, stars in zip(*(pairs[name] for name in pairs), strict=True)
        if stars >= LIKED
    ]
    for user in sorted({u for u, _ in liked}):
        rated = set(seen.movie_index[seen.row_splits[user] : seen.row_splits[user + 1]])
        order = sorted(set(range(MOVIES)) - rated, key=lambda i: (-retrieval_score(w, user, i), i))
        mine = [i for u, i in liked if u == user]
        gain = sum(1 / math.log2(order.index(i) + 2) for i in mine if i in order)
        found.append(gain / sum(1 / math.log2(place + 2) for place in range(len(mine))))
    return float(np.mean(found))


def eval_pairs() -> Columns:
    """Movies that the users have not rated in training; also of nobody and nothing known."""
    return {
        "user_index": np.array([0, 0, 1, 3, 4, 5, USERS, 1, 5], np.int32),
        "movie_index": np.array([1, 3, 4, 2, 0, 4, 0, MOVIES, 0], np.int32),
        "rating": np.array([5, 4, 4, 5, 2, 4, 5, 4, 3], np.float32),
    }


def test_the_criterion_is_ndcg_over_the_whole_catalogue(rng: np.random.Generator) -> None:
    model, w = build(rng)
    criterion = NormalizedDiscountedCumulativeGain(statistics().seen, LIKED)
    processes = Processes(tf.distribute.get_strategy())
    measure = criterion.evaluator(model, eval_pairs(), processes)
    assert measure() == pytest.approx(ndcg_of(w, eval_pairs()), rel=1e-9)
    for table in ("user_embedding", "movie_embedding"):
        getattr(model, table).assign(-getattr(model, table))
    model.movie_bias.assign(-model.movie_bias)
    w["movie_bias"] = -w["movie_bias"]
    assert measure() == pytest.approx(ndcg_of(w, eval_pairs()), rel=1e-9), "as it is when called"


@pytest.mark.parametrize(
    ("most", "ranked"), [(1, [0]), (2, [0, 3]), (3, [0, 1, 5]), (5, [0, 1, 3, 5, USERS])]
)
def test_the_criterion_of_many_users_is_that_of_an_even_sample(
    rng: np.random.Generator, most: int, ranked: list[int]
) -> None:
    """Users 0, 1, 3, 5 and the unknown one like a movie: of n, the k-th of m is at ⌊k n / m⌋."""
    model, w = build(rng)
    pairs = eval_pairs()
    theirs = np.isin(pairs["user_index"], ranked)
    sample = {name: values[theirs] for name, values in pairs.items()}
    options = ModelOptions(name="two_tower", dimension=3, liked_rating=LIKED)
    criterion = criterion_for(options, TrainingOptions(ranked_users=most), statistics())
    measure = criterion.evaluator(model, pairs, Processes(tf.distribute.get_strategy()))
    assert measure() == pytest.approx(ndcg_of(w, sample), rel=1e-9)


def test_an_even_sample_of_users_keeps_all_their_pairs_in_order() -> None:
    pairs = {
        "user_index": np.array([9, 2, 5, 2, 7, 9], np.int32),
        "movie_index": np.array([0, 1, 2, 3, 4, 0], np.int32),
    }
    two = of_even_users(pairs, 2)
    assert two["user_index"].tolist() == [2, 2, 7]
    assert two["movie_index"].tolist() == [1, 3, 4]
    assert of_even_users(pairs, 4) is pairs


def test_the_criterion_ranks_equal_movies_in_their_order(rng: np.random.Generator) -> None:
    """As the exported model does, on processors too that round the last columns otherwise."""
    users, movies, dimension = 20, 101, 33
    vectors = np.tile(rng.normal(size=dimension), (movies + 1, 1)).astype(np.float32)
    equal = SimpleNamespace(
        user_vectors=lambda: rng.normal(size=(users + 1, dimension)).astype(np.float32),
        movie_vectors=lambda: tf.constant(vectors),
    )
    nothing = SeenMovies(
        np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(users + 2, np.int64)
    )
    liked = {
        "user_index": np.arange(users, dtype=np.int32),
        "movie_index": np.full(users, 2, np.int32),
        "rating": np.full(users, 5, np.float32),
    }
    criterion = NormalizedDiscountedCumulativeGain(nothing, LIKED)
    measure = criterion.evaluator(
        cast(RankingModel, equal), liked, Processes(tf.distribute.get_strategy())
    )
    assert measure() == pytest.approx(1 / math.log2(2 + 2), rel=1e-12)


def test_training_keeps_the_weights_with_the_highest_ndcg(rng: np.random.Generator) -> None:
    model, w = build(rng)
    options = ModelOptions(name="two_tower", dimension=3, liked_rating=LIKED)
    training = TrainingOptions(
        epochs=12, patience=12, batch_size=16, optimizer="adam", learning_rate=0.3
    )
    criterion = criterion_for(options, training, statistics())
    history = TrainingLoop(model, training, criterion=criterion).train(ratings(rng), eval_pairs())
    best = best_eval_figure(history, criterion)
    assert best == max(result.eval_figure for result in history)
    assert best > min(result.eval_figure for result in history)
    assert history[best_epoch(history, criterion) - 1].eval_figure == best
    kept = {table: getattr(model, table).numpy().astype(np.float64) for table in w}
    assert ndcg_of(kept, eval_pairs()) == pytest.approx(best, rel=1e-9)


def test_an_eval_split_in_which_nothing_is_liked_is_refused(rng: np.random.Generator) -> None:
    model, _ = build(rng)
    criterion = NormalizedDiscountedCumulativeGain(statistics().seen, 5.5)
    training = TrainingLoop(model, TrainingOptions(epochs=1), criterion=criterion)
    with pytest.raises(ValueError, match=r"no rating of the eval split is 5\.5 or more"):
        training.train(ratings(rng), eval_pairs())


def test_top_k_accuracy_is_how_often_a_movie_is_among_the_first(rng: np.random.Generator) -> None:
    model, w = build(rng)
    pairs = ratings(rng)
    places = [
        1 + sum(retrieval_score(w, u, j) > retrieval_score(w, u, i) for j in range(MOVIES))
        for u, i in zip(pairs["user_index"], pairs["movie_index"], strict=True)
    ]
    found = top_k_accuracy(model, pairs)
    assert list(found) == ["1", "5"], "no k beyond the catalogue of five"
    for k, accuracy in found.items():
        assert accuracy == pytest.approx(np.mean([place <= int(k) for place in places]), rel=1e-6)
    assert top_k_accuracy(model, {name: values[:0] for name, values in pairs.items()}) == {}
