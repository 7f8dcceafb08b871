"""Sample requests to every signature of an exported model, for pairs of a user and a movie."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from models import features
from models.signature_names import (
    AMONG_GENRES,
    AMONG_MOVIES,
    EXAMPLES,
    EXCLUDE,
    EXPLAIN,
    EXPLAIN_FOR_RATINGS,
    MOVIE_YEAR,
    MOVIES,
    PREDICT,
    PREDICT_INTERVAL,
    PREDICT_NEW_MOVIE,
    RECOMMEND,
    RECOMMEND_AMONG,
    RECOMMEND_EXCLUDING,
    RECOMMEND_FOR_PROFILE,
    RECOMMEND_FOR_RATINGS,
    SERVING_DEFAULT,
    SIMILAR,
    TARGET,
    TRANSFORM_FEATURES,
    K,
)

Inputs = dict[str, np.ndarray[Any, np.dtype[Any]]]

# Number of movies that requests for rankings ask for.
MOVIES_ASKED_FOR: Final = 10
# Ratings of a new user.
_STARS = (5.0, 3.0, 1.0)
# Ages, genders and occupations of new users, and genres, years and titles of new movies. Of one of
# each nothing is known.
_PROFILES = ((34, b"F", b"writer"), (0, b"", b""), (19, b"M", b"student"))
_NEW_MOVIES = (
    ((b"Drama", b"War"), 1995, b""),
    ((b"", b""), 0, b""),
    ((b"Comedy", b""), 0, b"A new movie (1997)"),
)


def inputs_for(signature: str, user_ids: Sequence[bytes], movie_ids: Sequence[bytes]) -> Inputs:
    """Returns the inputs of a signature, with a row for each pair.

    Args:
        signature: Name of a signature for which `can_ask` returns True.
        user_ids: Ids of B users, known or not.
        movie_ids: Ids of B movies, known or not.

    Returns:
        Arrays by input name: bytes as objects, float32, or int32 for `k`.
    """
    return _MAKERS[signature](_strings(user_ids), _strings(movie_ids))


def can_ask(signature: str) -> bool:
    """Returns whether `inputs_for` supports a signature."""
    return signature in _MAKERS


def predict_request(
    model_name: str, signature: str, inputs: Mapping[str, np.ndarray[Any, np.dtype[Any]]]
) -> predict_pb2.PredictRequest:
    """Returns a request to a model server.

    Args:
        model_name: Name of the model on the server.
        signature: Name of the signature.
        inputs: Arrays by input name.
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return request


def unknown_id(known: Collection[str]) -> str:
    """Returns an id that is not among the known ones."""
    candidate = "unknown"
    while candidate in known:
        candidate += "?"
    return candidate


_Strings = np.ndarray[Any, np.dtype[np.object_]]


def _strings(ids: Sequence[bytes]) -> _Strings:
    return np.array(ids, dtype=object)


def _k() -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array(MOVIES_ASKED_FOR, np.int32)


def _examples(users: _Strings, movies: _Strings) -> Inputs:
    return {EXAMPLES: _strings([_example(*pair) for pair in zip(users, movies, strict=True)])}


def _pairs(users: _Strings, movies: _Strings) -> Inputs:
    return {features.USER_ID: users, features.MOVIE_ID: movies}


def _example(user_id: bytes, movie_id: bytes) -> bytes:
    example = tf.train.Example()
    for name, value in ((features.USER_ID, user_id), (features.MOVIE_ID, movie_id)):
        example.features.feature[name].bytes_list.value.append(value)
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def _next_movies(movies: _Strings, count: int) -> _Strings:
    """Returns each row's movie and those of the next rows, `[B, count]`."""
    return np.stack([np.roll(movies, -place) for place in range(count)], axis=1)


def _rated(movies: _Strings) -> Inputs:
    """Returns ratings of each row's movie and of the next rows' movies, with one padded place."""
    padding = np.full((len(movies), 1), b"", dtype=object)
    return {
        features.MOVIE_ID: np.concatenate([_next_movies(movies, len(_STARS)), padding], axis=1),
        features.RATING: np.tile(np.array([*_STARS, 0.0], np.float32), (len(movies), 1)),
        K: _k(),
    }


def _profiles(users: _Strings) -> Inputs:
    """Returns a profile for each row."""
    ages, genders, occupations = zip(*_repeated(_PROFILES, len(users)), strict=True)
    return {
        features.USER_AGE: np.array(ages, np.int32),
        features.USER_GENDER: _strings(genders),
        features.USER_OCCUPATION: _strings(occupations),
        K: _k(),
    }


def _new_movies(users: _Strings) -> Inputs:
    """Returns each row's user, and a new movie."""
    genres, years, titles = zip(*_repeated(_NEW_MOVIES, len(users)), strict=True)
    return {
        features.USER_ID: users,
        features.MOVIE_GENRES: _strings(genres),
        MOVIE_YEAR: np.array(years, np.int32),
        features.MOVIE_TITLE: _strings(titles),
    }


def _repeated(values: Sequence[tuple[Any, ...]], count: int) -> Sequence[tuple[Any, ...]]:
    """Returns `count` of the values, from the first again after the last."""
    return [values[place % len(values)] for place in range(count)]


_MAKERS: dict[str, Callable[[_Strings, _Strings], Inputs]] = {
    SERVING_DEFAULT: _examples,
    TRANSFORM_FEATURES: _examples,
    PREDICT: _pairs,
    PREDICT_INTERVAL: _pairs,
    RECOMMEND: lambda users, _: {features.USER_ID: users, K: _k()},
    RECOMMEND_EXCLUDING: lambda users, movies: {
        features.USER_ID: users,
        K: _k(),
        EXCLUDE: movies[:, np.newaxis],
    },
    RECOMMEND_AMONG: lambda users, movies: {
        features.USER_ID: users,
        K: _k(),
        AMONG_MOVIES: _next_movies(movies, MOVIES_ASKED_FOR),
        AMONG_GENRES: np.full((len(users), 1), b"", dtype=object),
    },
    RECOMMEND_FOR_RATINGS: lambda _, movies: _rated(movies),
    RECOMMEND_FOR_PROFILE: lambda users, _: _profiles(users),
    PREDICT_NEW_MOVIE: lambda users, _: _new_movies(users),
    SIMILAR: lambda _, movies: {features.MOVIE_ID: movies, K: _k()},
    MOVIES: lambda _, movies: {features.MOVIE_ID: movies},
    EXPLAIN: lambda users, movies: {
        features.USER_ID: users,
        features.MOVIE_ID: movies,
        K: _k(),
    },
    EXPLAIN_FOR_RATINGS: lambda _, movies: {**_rated(movies), TARGET: movies},
}
