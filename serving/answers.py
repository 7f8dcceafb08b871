"""A model's answers as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Movie:
    """A movie of the model's catalogue."""

    movie_id: str
    title: str


@dataclass(frozen=True)
class Recommendation:
    """A movie and its score: stars before they are cut to their range, or a retrieval score."""

    movie_id: str
    title: str
    score: float


@dataclass(frozen=True)
class Reason:
    """A rating of the user, and what it adds to the score of another movie."""

    movie_id: str
    title: str
    rating: float
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why a movie has its score: the baseline, the reasons and the others add up to it.

    Attributes:
        score: Score of the movie, as `Recommendation` has it; −inf for an unknown movie.
        baseline: Score for a user without ratings.
        reasons: Ratings with the largest contributions, the largest first.
        others: The rest of the score.
    """

    score: float
    baseline: float
    reasons: list[Reason]
    others: float


@dataclass(frozen=True)
class VersionStatus:
    """The state of one version on a model server.

    Attributes:
        version: Number of the version.
        state: START, LOADING, AVAILABLE, UNLOADING, END or UNKNOWN.
        error: Reason why it could not be loaded or unloaded; empty if nothing went wrong.
    """

    version: int
    state: str
    error: str
