"""Tiny SavedModels with every signature, made to answer wrongly in one way or another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

MOVIES = np.array([b"m0", b"m1", b"m2", b"m3", b"m4"])
# In the vocabulary after those, and never recommended.
LAST_MOVIE = b"m5" + b"-" * 40
SCORES = np.array([4.5, 4.0, 3.5, 3.0, 2.5], np.float32)

Outputs = dict[str, tf.Tensor]
Fault = Callable[[str, Outputs], Outputs]


def expected_rating(user_id: bytes, movie_id: bytes) -> float:
    """Returns what the models predict, from the definition below."""
    return 1 + len(user_id) / 4 + len(movie_id) / 8


class AnsweringModel(tf.Module):
    """Rates by the lengths of ids and ranks five movies alike for everybody.

    A fault changes what a signature answers.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault
        self.weight = tf.Variable([0.25, 0.125])

    def signatures(self, *wanted: str) -> dict[str, Callable[..., Outputs]]:
        """Traces these signatures; all if none is named."""
        strings, lists = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.string)
        stars, k = tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int32)
        years = tf.TensorSpec([None], tf.int32)
        examples = tf.TensorSpec([None], tf.string, name="examples")
        return {
            name: self._signature(name, function, *specs)
            for name, function, specs in (
                ("predict", self.predict, (strings, strings)),
                ("predict_interval", self.predict_interval, (strings, strings)),
                ("serving_default", self.rate, (examples,)),
                ("transform_features", self.transform, (examples,)),
                ("recommend", self.recommend, (strings, k)),
                ("recommend_excluding", self.recommend_excluding, (strings, k, lists)),
                ("recommend_among", self.recommend_among, (strings, k, lists, lists)),
                ("recommend_for_ratings", self.recommend_for_ratings, (lists, stars, k)),
                ("recommend_for_profile", self.recommend_for_profile, (years, strings, strings, k)),
                ("predict_new_movie", self.predict_new_movie, (strings, lists, years, strings)),
                ("similar", self.similar, (strings, k)),
                ("movies", self.movies, (strings,)),
                ("explain", self.explain, (strings, strings, k)),
                ("explain_for_ratings", self.explain_for_ratings, (lists, stars, strings, k)),
            )
            if not wanted or name in wanted
        }

    def _signature(self, name: str, function: Callable[..., Outputs], *specs: tf.TensorSpec):
        names = function.__code__.co_varnames[1 : 1 + len(specs)]
        named = [
            tf.TensorSpec(spec.shape, spec.dtype, name)
            for name, spec in zip(names, specs, strict=True)
        ]

        @tf.function(input_signature=named, autograph=False)
        def answer(*inputs: tf.Tensor) -> Outputs:
            return self._fault(name, function(*inputs))

        return answer.get_concrete_function()

    def predict(self, user_id, movie_id) -> Outputs:
        lengths = [tf.cast(tf.strings.length(ids), tf.float32) for ids in (user_id, movie_id)]
        return {"rating": 1 + self.weight[0] * lengths[0] + self.weight[1] * lengths[1]}

    def predict_interval(self, user_id, movie_id) -> Outputs:
        rating = self.predict(user_id, movie_id)["rating"]
        return {
            "rating": rating,
            "standard_deviation": 1 + rating / 8,
            "liked_probability": rating / 100,
            "lowest_rating": tf.zeros_like(rating),
            "highest_rating": 99 * tf.ones_like(rating),
        }

    def rate(self, examples) -> Outputs:
        spec = {name: tf.io.FixedLenFeature([], tf.string) for name in ("user_id", "movie_id")}
        ids = tf.io.parse_example(examples, spec)
        return self.predict(ids["user_id"], ids["movie_id"])

    def transform(self, examples) -> Outputs:
        return {"user_activity": tf.fill(tf.shape(examples), "1-20")}

    def recommend(self, user_id, k) -> Outputs:
        return ranked(tf.fill([tf.size(user_id), 0], ""), k, SCORES)

    def recommend_excluding(self, user_id, k, exclude) -> Outputs:
        return ranked(exclude, k, SCORES)

    def recommend_among(self, user_id, k, among_movies, among_genres) -> Outputs:
        named = tf.reduce_any(among_movies[:, :, tf.newaxis] == MOVIES, axis=1)
        return ranked(tf.where(named, "", MOVIES), k, SCORES)

    def recommend_for_ratings(self, movie_id, rating, k) -> Outputs:
        return ranked(movie_id, k, SCORES)

    def recommend_for_profile(self, user_age, user_gender, user_occupation, k) -> Outputs:
        return ranked(tf.fill([tf.size(user_age), 0], ""), k, SCORES)

    def predict_new_movie(self, user_id, movie_genres, movie_year, movie_title) -> Outputs:
        return self.predict(user_id, movie_title)

    def similar(self, movie_id, k) -> Outputs:
        return ranked(movie_id[:, tf.newaxis], k, SCORES / 5)

    def movies(self, movie_id) -> Outputs:
        known = tf.reduce_any(movie_id[:, tf.newaxis] == MOVIES, axis=1)
        found = tf.where(known, movie_id, "")
        return {"movie_id": found, "movie_title": found}

    def explain(self, user_id, movie_id, k) -> Outputs:
        return explained(tf.tile(MOVIES[np.newaxis, :2], [tf.size(user_id), 1]), k)

    def explain_for_ratings(self, movie_id, rating, target_movie_id, k) -> Outputs:
        return explained(movie_id[:, :2], k)


def explained(rated: tf.Tensor, k: tf.Tensor) -> Outputs:
    """Two ratings of five stars add 0.5 and 0.25, the others 0.25, to a baseline of 3."""
    missing = [[0, 0], [0, tf.minimum(k, len(MOVIES)) - 2]]
    listed = tf.pad(rated, missing, constant_values="")
    ones = tf.ones_like(rated, tf.float32)
    return {
        "movie_id": listed,
        "movie_title": listed,
        "rating": tf.pad(5 * ones, missing),
        "contribution": tf.pad(ones * [0.5, 0.25], missing),
        "score": 4.0 * ones[:, 0],
        "baseline": 3 * ones[:, 0],
        "others": 0.25 * ones[:, 0],
    }


def ranked(left_out: tf.Tensor, k: tf.Tensor, scores: np.ndarray) -> Outputs:
    out = tf.reduce_any(left_out[:, :, tf.newaxis] == MOVIES, axis=1)
    score, place = tf.math.top_k(tf.where(out, -np.inf, scores), tf.minimum(k, len(MOVIES)))
    movie_id = tf.where(tf.math.is_finite(score), tf.gather(MOVIES, place), "")
    return {"movie_id": movie_id, "movie_title": movie_id, "score": score}


def save(
    folder: Path,
    fault: Fault = lambda name, outputs: outputs,
    without: str = "",
    movie_ids: Sequence[bytes] | None = (*MOVIES, LAST_MOVIE),
) -> Path:
    """The folder of a SavedModel."""
    model = AnsweringModel(fault)
    if movie_ids is not None:
        model.movie_ids = tf.Variable(tf.constant(list(movie_ids), tf.string))
    signatures = {
        name: function for name, function in model.signatures().items() if name != without
    }
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return folder
