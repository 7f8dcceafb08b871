"""Warm starts: a model begins with the weights of an earlier one, row by row by raw id.

An export keeps the weights of both passes of its training. Those of the first pass have never seen
the eval split, so early stopping on it stays honest in the next run, whose eval split has the same
ratings and some more.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
import tensorflow as tf
from pydantic import ValidationError

from models.catalogue import Catalogue
from models.contracts import GradientModel, RankingModel, Table
from models.errors import TrainingError
from models.export.saved_model import TRAINING_WEIGHTS_FILE
from models.options import ModelOptions

_OPTIONS: Final = "options"
_USERS: Final = "user_ids"
_MOVIES: Final = "movie_ids"

Pass = Literal["train", "refit"]
"""A pass of the training: on train with early stopping, or on train and eval."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class EarlierWeights:
    """The weights of an earlier training.

    Attributes:
        digest: Digest of their file.
        options: Options of the model; None if they are those of another release.
        user_ids: Ids of the users by their rows, text `[users]`.
        movie_ids: Ids of the movies by their rows, text `[movies]`.
        tables: Weights by pass and by place, such as `train/user/0`.
    """

    digest: str
    options: ModelOptions | None
    user_ids: Array
    movie_ids: Array
    tables: Mapping[str, Array]


@dataclass(frozen=True)
class WarmStart:
    """An earlier training from which a model of a catalogue starts.

    Attributes:
        weights: Weights of the earlier training.
        users: Rows of users who were known then and are known now, then and now, `[n]` each.
        movies: Rows of movies, likewise.
    """

    weights: EarlierWeights
    users: tuple[Array, Array]
    movies: tuple[Array, Array]

    @classmethod
    def of(cls, weights: EarlierWeights, catalogue: Catalogue) -> WarmStart:
        """Returns the start of a model whose rows are those of a catalogue."""
        return cls(
            weights,
            users=_same(weights.user_ids, catalogue.user_ids),
            movies=_same(weights.movie_ids, catalogue.movie_ids),
        )

    def apply(self, model: RankingModel, which: Pass, share: float) -> None:
        """Sets the rows of ids that were known; the others keep their initial weights.

        A mix of earlier and initial weights generalises better than the earlier ones alone, whose
        epochs add up from run to run: Ash & Adams, "On warm-starting neural network training"
        (2020).

        Args:
            model: Model with its initial weights, under any strategy.
            which: Pass that begins. Without a refit in the earlier training, its only weights
                start both.
            share: Share of the earlier weights in the mix.
        """
        for place, table in _places(model):
            earlier = self.weights.tables.get(f"{which}/{place}")
            if earlier is None:
                earlier = self.weights.tables[f"train/{place}"]
            values = tf.convert_to_tensor(table).numpy()
            if place.startswith("shared/"):
                then = now = np.arange(len(values))
            else:
                then, now = self.users if place.startswith("user/") else self.movies
            values[now] = share * earlier[then] + (1 - share) * values[now]
            table.assign(values)

    def __str__(self) -> str:
        """Returns one line on how many rows have weights."""
        return (
            f"warm, {len(self.users[0]):,} users and {len(self.movies[0]):,} movies from the last "
            "model"
        )


def write(
    folder: str, options: ModelOptions, catalogue: Catalogue, models: Mapping[Pass, RankingModel]
) -> None:
    """Writes the weights into the folder of a SavedModel.

    Args:
        folder: Folder of the SavedModel.
        options: Options of the model.
        catalogue: Users and movies by their rows.
        models: Models on one device after each pass.
    """
    content = io.BytesIO()
    np.savez(
        content,
        allow_pickle=False,
        **{
            _OPTIONS: np.array(options.model_dump_json()),
            _USERS: np.array(catalogue.user_ids),
            _MOVIES: np.array(catalogue.movie_ids),
        },
        **{
            f"{which}/{place}": table.numpy()
            for which, model in models.items()
            for place, table in _places(model)
        },
    )
    path = os.path.join(folder, TRAINING_WEIGHTS_FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(content.getvalue())


def read(folder: str) -> EarlierWeights | None:
    """Returns the weights in the folder of a SavedModel; None if it keeps none.

    Raises:
        TrainingError: Their file is damaged.
    """
    path = os.path.join(folder, TRAINING_WEIGHTS_FILE)
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            tables = dict(arrays)
        options, user_ids, movie_ids = (tables.pop(name) for name in (_OPTIONS, _USERS, _MOVIES))
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(
            f"{path}: the weights to start from are damaged ({error}); remove this version, or set "
            "training.warm_start=false"
        ) from error
    return EarlierWeights(
        digest=hashlib.sha256(content).hexdigest(),
        options=_options(str(options)),
        user_ids=user_ids,
        movie_ids=movie_ids,
        tables=tables,
    )


def _options(text: str) -> ModelOptions | None:
    try:
        return ModelOptions.model_validate_json(text)
    except ValidationError:
        return None


def _places(model: RankingModel) -> Iterator[tuple[str, Table]]:
    for kind, tables in cast(GradientModel, model).tables()._asdict().items():
        yield from ((f"{kind}/{number}", table) for number, table in enumerate(tables))


def _same(then: Array, now: Sequence[str]) -> tuple[Array, Array]:
    """Returns the positions, then and now, of the ids that are in both."""
    _, at_then, at_now = np.intersect1d(then, np.array(now), return_indices=True)
    return at_then, at_now
