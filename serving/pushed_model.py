"""A pushed SavedModel, called in this process without a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from models import features, signature_names
from serving.answers import Recommendation
from serving.errors import ServingError, UnreadableModelError
from serving.saved_model import load_saved_model

_PREDICTION_BATCH = 65_536
# Each row takes memory for the scores of the whole catalogue.
_RANKING_BATCH = 512

Floats = np.ndarray[Any, np.dtype[np.float32]]


class RankedMovies(NamedTuple):
    """The lists of n users. Where a list is shorter than k, ids are empty and numbers −inf.

    Attributes:
        movie_ids: Raw ids, bytes `[n, k]`.
        titles: Titles, bytes `[n, k]`.
        scores: Numbers that order the lists, float32 `[n, k]`.
        ratings: Predicted ratings in stars, float32 `[n, k]`; None from a model that returns none.
    """

    movie_ids: np.ndarray[Any, Any]
    titles: np.ndarray[Any, Any]
    scores: Floats
    ratings: Floats | None


class PushedModel:
    """One version of the model, with its signatures as methods."""

    def __init__(self, folder: Path | str) -> None:
        """Loads the SavedModel in a version's folder.

        Raises:
            UnreadableModelError: It is damaged, or lacks a signature.
        """
        # The signatures live only as long as the loaded object.
        self._loaded = load_saved_model(folder)
        self._signatures = getattr(self._loaded, "signatures", {})
        for name in (signature_names.TRANSFORM_FEATURES, signature_names.RECOMMEND):
            if name not in self._signatures:
                raise UnreadableModelError(f"{folder}: the SavedModel has no signature {name}")

    @property
    def predicts_ratings(self) -> bool:
        """Whether the model has `predict`."""
        return signature_names.PREDICT in self._signatures

    @property
    def retrieves(self) -> bool:
        """Whether the model has `ranks`."""
        evaluated = self._signatures[signature_names.TRANSFORM_FEATURES].structured_outputs
        return signature_names.RANK in evaluated

    def predict(
        self,
        user_ids: np.ndarray[Any, np.dtype[Any]],
        movie_ids: np.ndarray[Any, np.dtype[Any]],
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Returns the predicted ratings of n pairs.

        Args:
            user_ids: bytes `[n]`, raw ids.
            movie_ids: bytes `[n]`, raw ids.

        Returns:
            float32 `[n]`, stars.
        """
        predicted = [
            self._signatures[signature_names.PREDICT](
                user_id=tf.constant(user_ids[start : start + _PREDICTION_BATCH], tf.string),
                movie_id=tf.constant(movie_ids[start : start + _PREDICTION_BATCH], tf.string),
            )[features.RATING].numpy()
            for start in range(0, len(user_ids), _PREDICTION_BATCH)
        ]
        return np.concatenate(predicted) if predicted else np.empty(0, np.float32)

    def ranks(
        self,
        user_ids: np.ndarray[Any, np.dtype[Any]],
        movie_ids: np.ndarray[Any, np.dtype[Any]],
    ) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
        """Returns the ranks of movies among those that their users did not rate in training.

        Args:
            user_ids: bytes `[n]`, raw ids.
            movie_ids: bytes `[n]`, raw ids.

        Returns:
            Ranks by the model and by popularity, int64 `[n]` each, where 1 is the best.
        """
        evaluate = self._signatures[signature_names.TRANSFORM_FEATURES]
        examples = [
            tf.train.Example(
                features=tf.train.Features(
                    feature={
                        features.USER_ID: _bytes(user_id),
                        features.MOVIE_ID: _bytes(movie_id),
                    }
                )
            ).SerializeToString()
            for user_id, movie_id in zip(user_ids, movie_ids, strict=True)
        ]
        outputs = [
            evaluate(examples=tf.constant(examples[start : start + _RANKING_BATCH], tf.string))
            for start in range(0, len(examples), _RANKING_BATCH)
        ]
        by_model, by_popularity = (
            np.concatenate([np.empty(0, np.int64), *(part[name].numpy() for part in outputs)])
            for name in (signature_names.RANK, signature_names.POPULARITY_RANK)
        )
        return by_model, by_popularity

    def recommend(self, user_id: str, k: int) -> list[Recommendation]:
        """Returns the k best movies that a user did not rate in training, or all that are left."""
        (ranking,) = self.recommend_each([user_id], k)
        return ranking

    def recommend_each(self, user_ids: Sequence[str], k: int) -> list[list[Recommendation]]:
        """Returns for each of n users what `recommend` returns.

        Args:
            user_ids: Raw ids, n within the limits of the signature.
            k: Number of movies for each.
        """
        return _rankings(self.recommendations(user_ids, k))

    def recommendations(self, user_ids: Sequence[str], k: int) -> RankedMovies:
        """Returns the k best movies of n users as arrays.

        Args:
            user_ids: Raw ids, n within the limits of the signature.
            k: Number of movies for each, limited to the size of the catalogue.
        """
        return self._ranked(
            signature_names.RECOMMEND,
            user_id=tf.constant(user_ids, tf.string),
            k=tf.constant(k, tf.int32),
        )

    def recommend_among(
        self, user_id: str, movie_ids: Sequence[str], genres: Sequence[str], k: int
    ) -> list[Recommendation]:
        """Returns the k best movies of an allow-list that a user did not rate in training.

        Args:
            user_id: Raw id.
            movie_ids: Ids of allowed movies.
            genres: Genres whose movies are allowed too.
            k: Number of movies; there are fewer if no more are allowed.

        Raises:
            ServingError: The model has no such signature, or does not know a genre.
        """
        if signature_names.RECOMMEND_AMONG not in self._signatures:
            raise ServingError(
                "the model was exported before it could choose among movies or genres; train and "
                "push it again"
            )
        known = [name.decode() for name in self._loaded.genres.numpy()]
        for genre in genres:
            if genre not in known:
                raise ServingError(
                    f"genre {genre!r}: the model knows {', '.join(known) or 'no genre'}"
                )
        (ranking,) = _rankings(
            self._ranked(
                signature_names.RECOMMEND_AMONG,
                user_id=tf.constant([user_id]),
                k=tf.constant(k, tf.int32),
                among_movies=tf.constant([movie_ids], tf.string, shape=[1, len(movie_ids)]),
                among_genres=tf.constant([genres], tf.string, shape=[1, len(genres)]),
            )
        )
        return ranking

    def _ranked(self, signature: str, **inputs: tf.Tensor) -> RankedMovies:
        """Returns the movies of a signature that ranks."""
        outputs = self._signatures[signature](**inputs)
        movie_ids, titles, scores = (
            outputs[name].numpy()
            for name in (features.MOVIE_ID, features.MOVIE_TITLE, signature_names.SCORE)
        )
        ratings = outputs[features.RATING].numpy() if features.RATING in outputs else None
        return RankedMovies(movie_ids, titles, scores, ratings)


def _rankings(ranked: RankedMovies) -> list[list[Recommendation]]:
    """Returns the movies of each row, without empty ids."""
    ratings = np.full(ranked.scores.shape, None) if ranked.ratings is None else ranked.ratings
    return [
        [
            Recommendation(
                movie_id.decode(),
                title.decode(),
                float(score),
                None if rating is None else float(rating),
            )
            for movie_id, title, score, rating in zip(*columns, strict=True)
            if movie_id
        ]
        for columns in zip(ranked.movie_ids, ranked.titles, ranked.scores, ratings, strict=True)
    ]


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
