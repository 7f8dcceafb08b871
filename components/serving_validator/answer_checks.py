"""Checks of the answers of a model: outputs, shapes, dtypes, values and order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from components.serving_validator.candidate import Outputs, UnservableModelError
from models import features
from models.export.sample_requests import Inputs
from models.signature_names import (
    AMONG_GENRES,
    AMONG_MOVIES,
    BASELINE,
    CONTRIBUTION,
    EXCLUDE,
    EXPLAIN,
    EXPLAIN_FOR_RATINGS,
    HIGHEST_RATING,
    LIKED_PROBABILITY,
    LOWEST_RATING,
    MOVIES,
    OTHERS,
    POPULARITY_RANK,
    PREDICT,
    PREDICT_INTERVAL,
    PREDICT_NEW_MOVIE,
    RANK,
    RECOMMEND,
    RECOMMEND_AMONG,
    RECOMMEND_EXCLUDING,
    RECOMMEND_FOR_PROFILE,
    RECOMMEND_FOR_RATINGS,
    SCORE,
    SERVING_DEFAULT,
    SIMILAR,
    STANDARD_DEVIATION,
    TARGET,
    TRANSFORM_FEATURES,
    K,
)

_Array = np.ndarray[Any, np.dtype[Any]]

_DTYPES: Final = {
    features.RATING: np.dtype(np.float32),
    SCORE: np.dtype(np.float32),
    features.MOVIE_ID: np.dtype(np.object_),
    features.MOVIE_TITLE: np.dtype(np.object_),
    features.USER_ACTIVITY: np.dtype(np.object_),
    RANK: np.dtype(np.int64),
    POPULARITY_RANK: np.dtype(np.int64),
    BASELINE: np.dtype(np.float32),
    CONTRIBUTION: np.dtype(np.float32),
    OTHERS: np.dtype(np.float32),
    STANDARD_DEVIATION: np.dtype(np.float32),
    LIKED_PROBABILITY: np.dtype(np.float32),
    LOWEST_RATING: np.dtype(np.float32),
    HIGHEST_RATING: np.dtype(np.float32),
}
_LISTED: Final = (features.MOVIE_ID, features.MOVIE_TITLE, features.RATING, CONTRIBUTION)
_SUMS: Final = (SCORE, BASELINE, OTHERS)
_RANKED: Final = (features.MOVIE_ID, features.MOVIE_TITLE, SCORE)
# The bound of a cosine, and the rounding of float32.
_HIGHEST_COSINE: Final = 1.001
# Of the largest part: the rounding of float32 in a sum of some thousand.
_SUM_TOLERANCE: Final = 1e-3


def check(signature: str, inputs: Inputs, outputs: Outputs) -> None:
    """Checks an answer against the contract of its signature (`models.export.signatures`).

    Args:
        signature: A name from `models.signature_names`.
        inputs: Inputs of the request, by name.
        outputs: Outputs of the answer, by name.

    Raises:
        UnservableModelError: The names, shapes or dtypes of the outputs are wrong, or a value is:
            a number that is not finite, or a movie that had to be left out.
    """
    try:
        _CHECKS[signature](inputs, outputs)
    except UnservableModelError as error:
        raise UnservableModelError(f"{signature}: {error}") from error


def _check_rating(inputs: Inputs, outputs: Outputs) -> None:
    _check_outputs(outputs, [features.RATING], (_rows(inputs),))
    _check_finite(features.RATING, outputs[features.RATING])


def _check_interval(inputs: Inputs, outputs: Outputs) -> None:
    names = (features.RATING, STANDARD_DEVIATION, LIKED_PROBABILITY)
    # A model of an earlier release does not say the range, and may be rolled back to.
    ends = (LOWEST_RATING, HIGHEST_RATING) if LOWEST_RATING in outputs else ()
    _check_outputs(outputs, (*names, *ends), (_rows(inputs),))
    for name in (*names, *ends):
        _check_finite(name, outputs[name])
    rating, deviation, probability = (outputs[name] for name in names)
    if (deviation <= 0).any():
        raise UnservableModelError(f"{STANDARD_DEVIATION}: {deviation.min():g} is not above 0")
    wrong = probability[(probability < 0) | (probability > 1)]
    if wrong.size:
        raise UnservableModelError(f"{LIKED_PROBABILITY}: {wrong[0]:g} is no probability")
    if not ends:
        return
    lowest, highest = (outputs[name] for name in ends)
    beyond = rating[(rating < lowest) | (rating > highest)]
    if beyond.size:
        raise UnservableModelError(
            f"{features.RATING}: {beyond[0]:g} is not from {lowest[0]:g} to {highest[0]:g}"
        )


def _check_rating_or_score(inputs: Inputs, outputs: Outputs) -> None:
    if SCORE not in outputs:
        _check_rating(inputs, outputs)
        return
    _check_outputs(outputs, [SCORE], (_rows(inputs),))
    # −inf is the score of a movie that the model does not know.
    scores = outputs[SCORE]
    _check_finite(SCORE, scores[~np.isneginf(scores)])


def _check_evaluated(inputs: Inputs, outputs: Outputs) -> None:
    ranks = [RANK, POPULARITY_RANK] if RANK in outputs else []
    sure = [STANDARD_DEVIATION] if STANDARD_DEVIATION in outputs else []
    _check_outputs(outputs, [features.USER_ACTIVITY, *ranks, *sure], (_rows(inputs),))
    for name in ranks:
        if (outputs[name] < 1).any():
            raise UnservableModelError(f"{name}: {outputs[name].min()}; ranks start at 1")


def _check_recommended(inputs: Inputs, outputs: Outputs) -> None:
    left_out = inputs.get(EXCLUDE, np.empty((_rows(inputs), 0), object))
    _check_ranked(inputs, outputs, left_out)


def _check_among(inputs: Inputs, outputs: Outputs) -> None:
    _check_recommended(inputs, outputs)
    if (inputs[AMONG_GENRES] != b"").any():
        # Which movies are of a genre is the model's own knowledge.
        return
    for movies, allowed in zip(outputs[features.MOVIE_ID], inputs[AMONG_MOVIES], strict=True):
        for movie in movies:
            if movie and movie not in allowed:
                raise UnservableModelError(
                    f"{features.MOVIE_ID}: {movie.decode(errors='replace')} is not allowed"
                )


def _check_for_ratings(inputs: Inputs, outputs: Outputs) -> None:
    _check_ranked(inputs, outputs, inputs[features.MOVIE_ID])


def _check_similar(inputs: Inputs, outputs: Outputs) -> None:
    _check_ranked(inputs, outputs, inputs[features.MOVIE_ID][:, np.newaxis], can_rate=False)
    scores = outputs[SCORE]
    cosines = np.abs(scores[~np.isneginf(scores)])
    if (cosines > _HIGHEST_COSINE).any():
        raise UnservableModelError(f"{SCORE}: {cosines.max():g} is no cosine")


def _check_titles(inputs: Inputs, outputs: Outputs) -> None:
    _check_outputs(outputs, [features.MOVIE_ID, features.MOVIE_TITLE], (_rows(inputs),))
    for asked, found in zip(inputs[features.MOVIE_ID], outputs[features.MOVIE_ID], strict=True):
        if found not in (asked, b""):
            raise UnservableModelError(
                f"{features.MOVIE_ID}: {found.decode(errors='replace')} in place of "
                f"{asked.decode(errors='replace')}"
            )


def _check_explained(inputs: Inputs, outputs: Outputs) -> None:
    """Checks that the parts add up to the score, and that ratings are sent ones, in order."""
    _check_names(outputs, [*_LISTED, *_SUMS])
    rows = _rows(inputs)
    # A catalogue with fewer than k movies gives fewer columns.
    width = min([int(inputs[K]), *outputs[CONTRIBUTION].shape[1:]])
    for name in _LISTED:
        _check_tensor(name, outputs[name], (rows, width))
    for name in _SUMS:
        _check_tensor(name, outputs[name], (rows,))
    known = ~np.isneginf(outputs[SCORE])
    score, baseline, others, contributions = (
        outputs[name][known] for name in (*_SUMS, CONTRIBUTION)
    )
    for name in (*_SUMS, CONTRIBUTION):
        _check_finite(name, outputs[name][known])
    largest = np.max(np.abs([np.ones_like(score), score, baseline, others]), axis=0)
    difference = np.abs(score - baseline - others - contributions.sum(axis=1))
    if (difference > _SUM_TOLERANCE * largest).any():
        raise UnservableModelError(f"{SCORE}: the parts do not add up to it")
    padded = outputs[features.MOVIE_ID][known] == b""
    if contributions[padded].any():
        raise UnservableModelError(f"{CONTRIBUTION}: a place without a movie adds something")
    ordered = np.where(padded, -np.inf, contributions)
    if (ordered[:, 1:] > ordered[:, :-1]).any():
        raise UnservableModelError(f"{CONTRIBUTION}: ratings are not in descending order")
    if TARGET in inputs:
        for listed, sent in zip(outputs[features.MOVIE_ID], inputs[features.MOVIE_ID], strict=True):
            for movie in set(listed) - set(sent) - {b""}:
                raise UnservableModelError(
                    f"{features.MOVIE_ID}: {movie.decode(errors='replace')} was not rated"
                )


def _check_ranked(
    inputs: Inputs, outputs: Outputs, left_out: _Array, can_rate: bool = True
) -> None:
    """Checks a ranking: best first, each movie once, none left out, and padding only at the end.

    Args:
        inputs: Inputs of the request, `k` among them.
        outputs: Outputs of the answer, the ranked movies.
        left_out: Ids `[B, M]` of movies that must not be ranked; the empty id is no movie.
        can_rate: Whether the ranked movies may have ratings.
    """
    # A catalogue with fewer than k movies gives fewer columns.
    width = min([int(inputs[K]), *outputs.get(SCORE, np.empty(0)).shape[1:]])
    rated = [features.RATING] if can_rate and features.RATING in outputs else []
    _check_outputs(outputs, [*_RANKED, *rated], (_rows(inputs), width))
    padded = outputs[features.MOVIE_ID] == b""
    for name in (SCORE, *rated):
        _check_finite(name, outputs[name][~padded])
        if not np.isneginf(outputs[name][padded]).all():
            raise UnservableModelError(
                f"{name}: a place without a movie has a number other than -inf"
            )
    scores = outputs[SCORE]
    if (scores[:, 1:] > scores[:, :-1]).any():
        raise UnservableModelError(f"{SCORE}: scores are not in descending order")
    for movies, excluded in zip(outputs[features.MOVIE_ID], left_out, strict=True):
        _check_movies([movie for movie in movies if movie], set(excluded))


def _check_movies(movies: list[bytes], left_out: set[bytes]) -> None:
    if len(set(movies)) < len(movies):
        raise UnservableModelError(f"{features.MOVIE_ID}: a movie appears twice in one row")
    for movie in movies:
        if movie in left_out:
            raise UnservableModelError(
                f"{features.MOVIE_ID}: {movie.decode(errors='replace')} had to be left out"
            )


def _check_outputs(outputs: Outputs, names: Sequence[str], shape: tuple[int, ...]) -> None:
    """Checks that there are these outputs and no others, with the right dtypes and shape."""
    _check_names(outputs, names)
    for name in names:
        _check_tensor(name, outputs[name], shape)


def _check_names(outputs: Outputs, names: Sequence[str]) -> None:
    if set(outputs) != set(names):
        raise UnservableModelError(
            f"the outputs are {', '.join(sorted(outputs)) or 'none'}; expected "
            f"{', '.join(sorted(names))}"
        )


def _check_tensor(name: str, values: _Array, shape: tuple[int, ...]) -> None:
    if (values.dtype, values.shape) != (_DTYPES[name], shape):
        raise UnservableModelError(
            f"{name}: {values.dtype} of shape {list(values.shape)}; expected {_DTYPES[name]} "
            f"of shape {list(shape)}"
        )


def _check_finite(name: str, values: _Array) -> None:
    wrong = values[~np.isfinite(values)]
    if wrong.size:
        raise UnservableModelError(
            f"{name}: {wrong.size} of {values.size} numbers are not finite; the first is {wrong[0]}"
        )


def _rows(inputs: Inputs) -> int:
    """Returns the batch size, the length of every input but `k`."""
    return len(next(values for name, values in inputs.items() if name != K))


_CHECKS: dict[str, Callable[[Inputs, Outputs], None]] = {
    SERVING_DEFAULT: _check_rating_or_score,
    PREDICT: _check_rating,
    PREDICT_INTERVAL: _check_interval,
    TRANSFORM_FEATURES: _check_evaluated,
    RECOMMEND: _check_recommended,
    RECOMMEND_EXCLUDING: _check_recommended,
    RECOMMEND_AMONG: _check_among,
    RECOMMEND_FOR_RATINGS: _check_for_ratings,
    RECOMMEND_FOR_PROFILE: _check_recommended,
    PREDICT_NEW_MOVIE: _check_rating,
    SIMILAR: _check_similar,
    MOVIES: _check_titles,
    EXPLAIN: _check_explained,
    EXPLAIN_FOR_RATINGS: _check_explained,
}
