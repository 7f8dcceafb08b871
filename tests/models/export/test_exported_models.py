"""Every model of the registry as it is exported: what the files hold, and what they answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from models.contracts import RankingModel, predicts_ratings
from models.registry import MODELS
from tests.models.export.exported_models import (
    EXPORTED,
    GENRES,
    MOVIE_IDS,
    SEED,
    USER_IDS,
    bytes_read,
    counter_size,
    requests,
)
from tests.models.factories import MOVIES, USERS, statistics, trained_like

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass
class Exported:
    """An exported model.

    Attributes:
        name: Its name.
        trained: The model that was exported.
        signatures: The signatures of what was exported, loaded from `copy`.
        shapes: The shape of each variable in its checkpoint.
        functions: The names of the functions in its graph.
        copy: A copy of the exported model, for one test to delete.
    """

    name: str
    trained: RankingModel
    signatures: dict[str, Callable[..., dict[str, tf.Tensor]]]
    shapes: dict[str, list[int]]
    functions: list[str]
    copy: Path
    _module: tf.Module = field(repr=False)


@pytest.fixture(scope="module", params=EXPORTED)
def exported(
    request: pytest.FixtureRequest,
    exported_model: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    """Loaded once for all tests of a model, which takes seconds."""
    name = request.param
    folder = exported_model(name)
    copy = tmp_path_factory.mktemp(name) / "model"
    shutil.copytree(folder, copy)
    loaded = tf.saved_model.load(str(copy))
    shapes = {
        key.removesuffix(SUFFIX): shape
        for key, shape in tf.train.list_variables(str(folder / "variables" / "variables"))
        if key.endswith(SUFFIX)
    }
    trained = trained_like(name, np.random.default_rng(SEED))
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    functions = [one.signature.name for one in saved.meta_graphs[0].graph_def.library.function]
    return Exported(name, trained, dict(loaded.signatures), shapes, functions, copy, loaded)


def offsets(name: str) -> np.ndarray:
    """What the default ranking adds to the rating of each movie, `[movies]`."""
    measured = statistics()
    if MODELS[name].retrieves:
        return np.zeros(MOVIES)
    return measured.rating_stddev * np.log(1 + measured.movie_rating_count.astype(np.float64))


def test_the_vectors_are_exported_once_and_nothing_of_the_training(exported: Exported) -> None:
    name = exported.name
    # Three dimensions, and one entry for each bias of the score.
    floats = {"two_tower": 4, "multitask": 4, "ease": 4, "ials": 3, "blend": 17}.get(name, 5)
    expected = {
        "user_rating_counts": [USERS + 1],
        "user_vectors": [USERS + 1, floats],
        "movie_vectors": [MOVIES + 1, floats],
        "user_ids": [USERS],
        "movie_ids": [MOVIES],
        "movie_titles": [MOVIES],
        "movie_inverse_norms": [MOVIES],
        "movie_popularity": [MOVIES],
        "seen_movie_index": [len(statistics().seen.movie_index)],
        "seen_row_splits": [USERS + 2],
        "seen_ratings/levels": [len(set(statistics().seen.rating))],
        "seen_ratings/level": [len(statistics().seen.rating)],
        "genres": [3],
        "movie_genre_index": [5],
        "genre_row_splits": [MOVIES + 1],
    }
    if name == "multitask":
        expected |= {
            "rating_head/weight": [floats],
            "rating_head/user_bias": [USERS + 1, 1],
            "rating_head/movie_bias": [MOVIES + 1, 1],
        }
    if name == "bayesian_mf":
        expected |= {
            "rating_head/user_variance": [USERS + 1, 1],
            "rating_head/movie_variance": [MOVIES + 1, 1],
        }
    if MODELS[name].uses_side_features:
        for side, features in (("users", 7), ("movies", 3)):
            expected |= {
                f"{side}_by_features/feature_means": [features],
                f"{side}_by_features/mean_vector": [floats],
                f"{side}_by_features/slope": [features, floats],
            }
    if MODELS[name].predicts_ratings and not MODELS[name].retrieves:
        expected |= {"movie_offsets": [MOVIES], "user_factors": [USERS + 1]}
    assert exported.shapes == expected


def test_what_signatures_have_in_common_is_exported_once(exported: Exported) -> None:
    for shared in ("_recommended_from", "_explanation_of"):
        assert sum(shared in name for name in exported.functions) == 1


def test_exported_ratings_are_the_models_for_known_and_unknown(exported: Exported) -> None:
    assert predicts_ratings(exported.trained) == MODELS[exported.name].predicts_ratings
    assert ("predict" in exported.signatures) == MODELS[exported.name].predicts_ratings
    if not predicts_ratings(exported.trained):
        return
    users, movies = np.divmod(np.arange((USERS + 1) * (MOVIES + 1)), MOVIES + 1)
    expected = exported.trained.predict_rating(tf.constant(users), tf.constant(movies)).numpy()
    found = exported.signatures["predict"](
        user_id=tf.gather([*USER_IDS, "nobody"], users),
        movie_id=tf.gather([*MOVIE_IDS, "nothing"], movies),
    )
    np.testing.assert_allclose(found["rating"], expected, atol=1e-5)
    assert np.ptp(expected) > 1


# Rows of allowed movies and genres, of every kind, and who asks.
ALLOWED = [
    ("u1", ["m0", "m4"], ["Comedy"]),
    ("u0", [], ["Drama", "Film-Noir"]),
    ("nobody", ["m3", "nothing", "m3", "m1"], []),
    ("u3", [], []),
    ("u4", ["nothing"], ["comedy", "nothing"]),
    ("u5", MOVIE_IDS, ["Drama", "Drama"]),
]


def test_the_best_among_allowed_movies_and_genres(exported: Exported) -> None:
    model = exported.trained
    movies_allowed, genres_allowed = (
        tf.constant([[*row[part], *[""] * (5 - len(row[part]))] for row in ALLOWED])
        for part in (1, 2)
    )
    found = exported.signatures["recommend_among"](
        user_id=tf.constant([user for user, _, _ in ALLOWED]),
        k=tf.constant(4),
        among_movies=movies_allowed,
        among_genres=genres_allowed,
    )
    users, movies = (
        table.numpy().astype(np.float64) for table in (model.user_vectors(), model.movie_vectors())
    )
    seen = statistics().seen
    for row, (user, named_movies, named_genres) in enumerate(ALLOWED):
        place = USER_IDS.index(user) if user in USER_IDS else USERS
        rated = seen.movie_index[seen.row_splits[place] : seen.row_splits[place + 1]]
        left = [
            index
            for index, movie in enumerate(MOVIE_IDS)
            if index not in rated
            and (movie in named_movies or set(GENRES[index]) & set(named_genres))
        ]
        ratings = model.score_of(tf.constant(movies[left] @ users[place], tf.float32)).numpy()
        expected = ratings + offsets(exported.name)[left]
        best = np.argsort(-expected, kind="stable")[:4]
        padding = [b""] * (4 - len(best))
        ids = [MOVIE_IDS[left[index]].encode() for index in best]
        assert found["movie_id"][row].numpy().tolist() == ids + padding
        titles = [b"Movie " + movie for movie in ids]
        assert found["movie_title"][row].numpy().tolist() == titles + padding
        scores = found["score"][row].numpy()
        np.testing.assert_allclose(scores[: len(best)], expected[best], atol=1e-5)
        assert np.isneginf(scores[len(best) :]).all()


RATED, STARS = ["m0", "m3", "m4"], [5.0, 1.0, 4.0]
TARGET = 1


def test_the_parts_of_an_explanation_add_up_to_the_score_of_recommend_for_ratings(
    exported: Exported,
) -> None:
    answer = exported.signatures["explain_for_ratings"](
        movie_id=tf.constant([[*RATED, ""]]),
        rating=tf.constant([[*STARS, 0.0]]),
        target_movie_id=tf.constant([MOVIE_IDS[TARGET]]),
        k=tf.constant(MOVIES),
    )
    found = {name: values.numpy()[0] for name, values in answer.items()}
    ranked = exported.signatures["recommend_for_ratings"](
        movie_id=tf.constant([RATED]), rating=tf.constant([STARS]), k=tf.constant(5)
    )
    place = ranked["movie_id"].numpy()[0].tolist().index(MOVIE_IDS[TARGET].encode())
    assert found["score"] == pytest.approx(ranked["score"].numpy()[0, place], abs=2e-5)
    total = found["baseline"].astype(np.float64) + found["contribution"].astype(np.float64).sum()
    assert found["score"] == pytest.approx(total + found["others"], abs=1e-5)
    assert found["others"] == pytest.approx(0, abs=1e-5)
    listed = [movie.decode() for movie in found["movie_id"]]
    assert set(listed[: len(RATED)]) == set(RATED)
    assert listed[len(RATED) :] == [""] * (MOVIES - len(RATED))
    stars = dict(zip(RATED, STARS, strict=True))
    assert found["rating"].tolist() == [stars.get(movie, 0) for movie in listed]
    contributions = found["contribution"][: len(RATED)].tolist()
    assert contributions == sorted(contributions, reverse=True)


def test_a_known_user_is_explained_by_the_ratings_of_the_training(exported: Exported) -> None:
    users, k = [*range(USERS), USERS], 3
    found = exported.signatures["explain"](
        user_id=tf.constant([*USER_IDS, "nobody"]),
        movie_id=tf.constant([MOVIE_IDS[TARGET]] * len(users)),
        k=tf.constant(k),
    )
    model = exported.trained
    dots = model.user_vectors().numpy() @ model.movie_vectors().numpy()[TARGET]
    expected = model.score_of(tf.constant(dots)).numpy() + offsets(exported.name)[TARGET]
    np.testing.assert_allclose(found["score"], expected, atol=1e-5)
    sums = found["baseline"].numpy() + found["contribution"].numpy().sum(1) + found["others"]
    np.testing.assert_allclose(found["score"], sums, atol=1e-5)
    seen = statistics().seen
    for user in users:
        own = slice(seen.row_splits[user], seen.row_splits[user + 1])
        rated = [MOVIE_IDS[movie] for movie in seen.movie_index[own]]
        pairs = set(zip(rated, seen.rating[own].tolist(), strict=True))
        listed = {
            (movie.decode(), stars)
            for movie, stars in zip(
                found["movie_id"].numpy()[user], found["rating"].numpy()[user].tolist(), strict=True
            )
            if movie
        }
        assert listed <= pairs
        assert len(listed) == min(k, len(pairs))


def test_no_table_is_copied_at_each_read_once_a_row_was_gathered(exported: Exported) -> None:
    """Gathering from a variable itself marks it to be copied whenever it is read."""
    operations = set()
    for signature in exported.signatures.values():
        graph = signature.graph.as_graph_def()
        operations |= {node.op for node in graph.node}
        operations |= {node.op for function in graph.library.function for node in function.node_def}
    assert "ReadVariableOp" in operations
    assert not operations & {"ResourceGather", "ResourceGatherNd"}


def test_a_loaded_model_reads_no_file(exported: Exported) -> None:
    before = {name: ask(**requests(name)) for name, ask in exported.signatures.items()}
    shutil.rmtree(exported.copy)
    for name, ask in exported.signatures.items():
        asked = requests(name)
        start = bytes_read()
        found = ask(**asked)
        assert bytes_read() - start <= counter_size() + 1
        for key, value in before[name].items():
            np.testing.assert_array_equal(found[key], value)
    assert len(exported.signatures) >= 6
