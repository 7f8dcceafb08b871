"""A pushed SavedModel, called in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models import features, signature_names
from serving.client.answers import Recommendation
from serving.errors import UnreadableModelError
from serving.saved_model import load_saved_model

_PREDICTION_BATCH = 65_536
# Rows of scores of the whole catalogue at a time.
_RANKING_BATCH = 512


class PushedModel:
    """The signatures of one version."""

    def __init__(self, folder: Path) -> None:
        """Loads the SavedModel in a version's folder.

        Raises:
            UnreadableModelError: it is damaged, or lacks a signature.
        """
        # The signatures live only as long as what was loaded.
        self._loaded = load_saved_model(folder)
        self._signatures = getattr(self._loaded, "signatures", {})
        for name in (signature_names.TRANSFORM_FEATURES, signature_names.RECOMMEND):
            if name not in self._signatures:
                raise UnreadableModelError(f"{folder}: the SavedModel has no signature {name}")

    @property
    def predicts_ratings(self) -> bool:
        """Whether `predict` can be called."""
        return signature_names.PREDICT in self._signatures

    @property
    def retrieves(self) -> bool:
        """Whether `ranks` can be called."""
        evaluated = self._signatures[signature_names.TRANSFORM_FEATURES].structured_outputs
        return signature_names.RANK in evaluated

    def predict(
        self,
        user_ids: np.ndarray[Any, np.dtype[Any]],
        movie_ids: np.ndarray[Any, np.dtype[Any]],
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Predicted ratings, float32 `[n]`, for n pairs of ids (bytes, in arrays of objects)."""
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
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Each movie's place, from 1, among those that its user did not rate in training.

        Args:
            user_ids: bytes, `[n]`.
            movie_ids: bytes, `[n]`.

        Returns:
            int64 `[n]`.
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
        found = [
            evaluate(examples=tf.constant(examples[start : start + _RANKING_BATCH], tf.string))[
                signature_names.RANK
            ].numpy()
            for start in range(0, len(examples), _RANKING_BATCH)
        ]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def recommend(self, user_id: str, k: int) -> list[Recommendation]:
        """The k best movies that the user did not rate in training; fewer if no more are left."""
        found = self._signatures[signature_names.RECOMMEND](
            user_id=tf.constant([user_id]), k=tf.constant(k, tf.int32)
        )
        columns = (
            found[name][0].numpy()
            for name in (features.MOVIE_ID, features.MOVIE_TITLE, signature_names.SCORE)
        )
        return [
            Recommendation(movie_id.decode(), title.decode(), float(score))
            for movie_id, title, score in zip(*columns, strict=True)
            if movie_id
        ]


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
