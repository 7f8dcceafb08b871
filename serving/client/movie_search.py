"""Finding a movie by its id or title, as a person types it."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from itertools import islice
from typing import Final

from serving.answers import Movie
from serving.errors import ServingError

_SUGGESTIONS: Final = 5
# MovieLens writes the year behind a title; people leave it out.
_YEAR: Final = re.compile(r"\s*\(\d{4}\)$")


class MovieNotFoundError(ServingError):
    """A text names no movie, or several; the message lists candidates.

    Attributes:
        candidates: Movies that may be meant, the likeliest first.
    """

    def __init__(self, message: str, candidates: Sequence[Movie]) -> None:
        """Takes the message, in one line, and the movies."""
        super().__init__(message)
        self.candidates = list(candidates)


def find_movie(movies: Sequence[Movie], text: str) -> Movie:
    """Returns the movie with this id, or else the one with this title.

    Titles are compared without regard to case and spacing.

    Args:
        movies: Catalogue; earlier movies are suggested first.
        text: Id or title.

    Raises:
        MovieNotFoundError: No movie has the id or title, or several have the title.
    """
    for movie in movies:
        if movie.movie_id == text:
            return movie
    wanted = _plain(text)
    same = [movie for movie in movies if _plain(movie.title) == wanted]
    if len(same) == 1:
        return same[0]
    if same:
        ids = ", ".join(movie.movie_id for movie in same)
        raise MovieNotFoundError(
            f"{text!r}: several movies have this title; give an id: {ids}", same
        )
    like = _like(movies, wanted)
    close = ", ".join(f"{movie.title} (id {movie.movie_id})" for movie in like)
    hint = f"did you mean {close}?" if close else "no title is similar"
    raise MovieNotFoundError(f"{text!r}: no movie of the model has this id or title; {hint}", like)


def titles_containing(movies: Sequence[Movie], text: str, count: int) -> list[Movie]:
    """Returns the first movies whose title contains a text, without regard to case and spacing.

    Args:
        movies: Catalogue; earlier movies come first.
        text: Part of a title; an empty one is in no title.
        count: Most movies to return.
    """
    wanted = _plain(text)
    containing = (movie for movie in movies if wanted and wanted in _plain(movie.title))
    return list(islice(containing, count))


def _like(movies: Sequence[Movie], wanted: str) -> list[Movie]:
    """Returns movies whose title contains the wanted one, or else is spelt similarly."""
    containing = titles_containing(movies, wanted, _SUGGESTIONS)
    if containing:
        return containing
    by_title: dict[str, list[Movie]] = {}
    for movie in movies:
        by_title.setdefault(_YEAR.sub("", _plain(movie.title)), []).append(movie)
    close = difflib.get_close_matches(_YEAR.sub("", wanted), by_title, _SUGGESTIONS)
    return [movie for title in close for movie in by_title[title]][:_SUGGESTIONS]


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
