"""The examination of a candidate: requests to every signature, checks and latencies."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final

import numpy as np

from components.serving_validator import answer_checks
from components.serving_validator.candidate import Answer, Candidate, UnservableModelError
from components.serving_validator.report import Latency
from components.serving_validator.request_data import HoldoutRow
from models import features
from models.export.reference_predictions import ReferencePredictions
from models.export.sample_requests import Inputs, can_ask, inputs_for
from models.signature_names import (
    EXAMPLES,
    EXCLUDE,
    EXPLAIN,
    EXPLAIN_FOR_RATINGS,
    PREDICT,
    RECOMMEND,
    RECOMMEND_AMONG,
    RECOMMEND_EXCLUDING,
    RECOMMEND_FOR_RATINGS,
    SERVING_DEFAULT,
    SIMILAR,
    TRANSFORM_FEATURES,
    K,
)

ROWS: Final = 100
"""Rows of the holdout that requests are made from: all in one request, then one by one."""

_TIMED_REQUESTS: Final = 50
# Number of recommended movies that the next request excludes.
_EXCLUDED: Final = 3

MOVIES_AT_ONCE: Final = 10_000
"""Most movies in one request; its message stays far below the size that a server accepts."""

# No user has this id: ids contain no white space.
_NOBODY: Final = b"nobody at all"

# Largest difference in stars of a rating in a list: the rounding of float32 in a sum with what
# orders the list.
_RATING_TOLERANCE: Final = 1e-3
_MILLISECONDS: Final = 1e3
_RANKING = frozenset(
    {RECOMMEND, RECOMMEND_AMONG, RECOMMEND_EXCLUDING, RECOMMEND_FOR_RATINGS, SIMILAR}
)
_EXPLAINING = frozenset({EXPLAIN, EXPLAIN_FOR_RATINGS})
_ALWAYS = frozenset({SERVING_DEFAULT, TRANSFORM_FEATURES, *_RANKING, *_EXPLAINING})

_Differences = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class Findings:
    """The findings so far; see `ServingReport`."""

    max_difference: float | None = None
    latency: dict[str, Latency] = field(default_factory=dict)


def examine(
    candidate: Candidate,
    rows: Sequence[HoldoutRow],
    movie_ids: Sequence[bytes],
    reference: ReferencePredictions,
    max_difference: float,
    findings: Findings,
) -> None:
    """Sends requests to every signature and checks the answers.

    Args:
        candidate: Model in its server.
        rows: Holdout rows to ask about.
        movie_ids: Ids of the whole catalogue.
        reference: The Trainer's predictions for pairs of the holdout.
        max_difference: Largest allowed difference between a prediction and its answer.
        findings: Record that is filled as far as the examination gets.

    Raises:
        UnservableModelError: The model must not be pushed.
    """
    if not rows or not len(reference.values):
        raise UnservableModelError("the holdout has no rating to ask the model about")
    signatures = candidate.signatures()
    _check_signatures(signatures, reference)
    for signature in signatures:
        findings.latency[signature] = _ask_all(candidate, signature, rows)
        logging.info("%s: %s ms", signature, findings.latency[signature])
    _check_exclusion(candidate, rows)
    _check_offer(candidate)
    _check_listed_ratings(candidate, rows)
    predicting = [name for name in (SERVING_DEFAULT, PREDICT) if name in signatures]
    _check_every_movie(candidate, predicting[-1], movie_ids, reference.output)
    for signature in predicting:
        differences = _differences(candidate, signature, reference)
        findings.max_difference = max(findings.max_difference or 0.0, float(differences.max()))
        _check_parity(signature, reference, differences, max_difference)


def ask_each(candidate: Candidate, movie_ids: Sequence[bytes]) -> None:
    """Sends a request to every signature for a user whom no model knows, and checks the answers.

    Args:
        candidate: Model in its server.
        movie_ids: Ids of the whole catalogue.

    Raises:
        UnservableModelError: The model does not answer as it must.
    """
    for signature in filter(can_ask, candidate.signatures()):
        _answer(candidate, signature, inputs_for(signature, [_NOBODY], movie_ids[:1]))
    _check_offer(candidate)


def _check_signatures(signatures: Sequence[str], reference: ReferencePredictions) -> None:
    needed = _ALWAYS | ({PREDICT} if reference.output == features.RATING else set())
    for name in sorted(needed - set(signatures)):
        raise UnservableModelError(f"{name}: the model has no such signature")
    for name in signatures:
        if not can_ask(name):
            raise UnservableModelError(
                f"{name}: models/export/sample_requests.py has no request for this signature"
            )


def _ask_all(candidate: Candidate, signature: str, rows: Sequence[HoldoutRow]) -> Latency:
    """Asks about all rows at once, then about single rows, and times the latter."""
    _answer(candidate, signature, _inputs(signature, rows))
    seconds = [
        _answer(candidate, signature, _inputs(signature, [rows[turn % len(rows)]])).seconds
        for turn in range(_TIMED_REQUESTS)
    ]
    median, p99 = np.percentile(seconds, (50, 99)) * _MILLISECONDS
    return Latency(median=round(float(median), 3), p99=round(float(p99), 3))


def _answer(candidate: Candidate, signature: str, inputs: Inputs) -> Answer:
    """Returns an answer that has passed its checks."""
    answer = candidate.ask(signature, inputs)
    answer_checks.check(signature, inputs, answer.outputs)
    return answer


def _inputs(signature: str, rows: Sequence[HoldoutRow]) -> Inputs:
    inputs = inputs_for(signature, [row.user_id for row in rows], [row.movie_id for row in rows])
    if EXAMPLES in inputs:
        # Unchanged, with all other features.
        inputs[EXAMPLES] = np.array([row.example for row in rows], dtype=object)
    return inputs


def _check_exclusion(candidate: Candidate, rows: Sequence[HoldoutRow]) -> None:
    """Checks that movies which were recommended no longer are once they are excluded."""
    recommended = _answer(candidate, RECOMMEND, _inputs(RECOMMEND, rows)).outputs
    inputs = _inputs(RECOMMEND_EXCLUDING, rows)
    inputs[EXCLUDE] = recommended[features.MOVIE_ID][:, :_EXCLUDED]
    _answer(candidate, RECOMMEND_EXCLUDING, inputs)


def _check_offer(candidate: Candidate) -> None:
    """Checks that an unknown user, who has rated nothing, is offered a movie at every place.

    A movie with a score of NaN would leave its place empty.
    """
    inputs = inputs_for(RECOMMEND, [_NOBODY], [_NOBODY])
    inputs[K] = np.array(MOVIES_AT_ONCE, np.int32)
    (movies,) = _answer(candidate, RECOMMEND, inputs).outputs[features.MOVIE_ID]
    offered = np.count_nonzero(movies != b"")
    if not 0 < offered == len(movies):
        raise UnservableModelError(
            f"{RECOMMEND}: an unknown user is offered {offered:,} of {len(movies):,} movies"
        )


def _check_listed_ratings(candidate: Candidate, rows: Sequence[HoldoutRow]) -> None:
    """Checks that recommended movies have the ratings that `predict` gives them, if any."""
    inputs = _inputs(RECOMMEND, rows)
    outputs = _answer(candidate, RECOMMEND, inputs).outputs
    if features.RATING not in outputs:
        return
    row, place = np.nonzero(outputs[features.MOVIE_ID] != b"")
    users, movies = inputs[features.USER_ID][row], outputs[features.MOVIE_ID][row, place]
    predicted = _values(candidate, PREDICT, list(users), list(movies), features.RATING)
    differences = np.abs(outputs[features.RATING][row, place].astype(np.float64) - predicted)
    if differences.max(initial=0.0) > _RATING_TOLERANCE:
        worst = int(np.argmax(differences))
        user, movie = users[worst].decode(), movies[worst].decode(errors="replace")
        raise UnservableModelError(
            f"{RECOMMEND}: the {features.RATING} of user {user} and movie {movie} is "
            f"{differences[worst]:.2g} from that of {PREDICT}"
        )


def _check_every_movie(
    candidate: Candidate, signature: str, movie_ids: Sequence[bytes], output: str
) -> None:
    """Checks that every movie of the catalogue has a rating or a score."""
    for start in range(0, len(movie_ids), MOVIES_AT_ONCE):
        movies = movie_ids[start : start + MOVIES_AT_ONCE]
        values = _values(candidate, signature, [_NOBODY] * len(movies), movies, output)
        # Only an unknown movie may have no score.
        for movie in compress(movies, np.isneginf(values)):
            raise UnservableModelError(
                f"{signature}: movie {movie.decode(errors='replace')} of the catalogue has "
                f"no {output}"
            )


def _differences(
    candidate: Candidate, signature: str, reference: ReferencePredictions
) -> _Differences:
    """Returns the differences between the answers and the Trainer's predictions, `[n]`."""
    values = _values(
        candidate, signature, reference.user_ids, reference.movie_ids, reference.output
    )
    return np.abs(values.astype(np.float64) - reference.values)


def _values(
    candidate: Candidate,
    signature: str,
    user_ids: Sequence[bytes],
    movie_ids: Sequence[bytes],
    output: str,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Returns the ratings or scores of n pairs, float32 `[n]`."""
    inputs = inputs_for(signature, user_ids, movie_ids)
    outputs = _answer(candidate, signature, inputs).outputs
    if output not in outputs:
        raise UnservableModelError(
            f"{signature}: the outputs are {', '.join(outputs)}; expected {output}"
        )
    return outputs[output]


def _check_parity(
    signature: str, reference: ReferencePredictions, differences: _Differences, allowed: float
) -> None:
    worst = int(np.argmax(differences))
    if differences[worst] <= allowed:
        return
    user, movie = reference.user_ids[worst].decode(), reference.movie_ids[worst].decode()
    raise UnservableModelError(
        f"{signature}: the {reference.output} of user {user} and movie {movie} is "
        f"{differences[worst]:.2g} from the Trainer's prediction {reference.values[worst]:.6g}; "
        f"at most {allowed:g} is allowed"
    )
