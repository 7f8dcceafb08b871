"""What a model answers, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Movie:
    """A movie of the model's catalogue."""

    movie_id: str
    title: str


@dataclass(frozen=True)
class Recommendation:
    """A movie and its score (stars, not clipped to the range of ratings, or log-odds)."""

    movie_id: str
    title: str
    score: float


@dataclass(frozen=True)
class VersionStatus:
    """A version that the server knows.

    Attributes:
        version: its number.
        state: START, LOADING, AVAILABLE, UNLOADING, END or UNKNOWN.
        error: why it could not be loaded or unloaded; empty if nothing went wrong.
    """

    version: int
    state: str
    error: str
