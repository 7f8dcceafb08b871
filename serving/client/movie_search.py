"""Finding a movie by what a person types."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from serving.client.answers import Movie
from serving.errors import ServingError

_SUGGESTIONS: Final = 5
# MovieLens writes the year behind a title; people leave it out.
_YEAR: Final = re.compile(r"\s*\(\d{4}\)$")


class MovieNotFoundError(ServingError):
    """What was typed names no movie, or several; the message lists those it may have meant."""


def find_movie(movies: Sequence[Movie], text: str) -> Movie:
    """The movie with this id, or else the one with this title.

    Titles are compared without regard to case and spacing.

    Args:
        movies: the catalogue, those first that are to be suggested first.
        text: an id or a title.

    Raises:
        MovieNotFoundError: no movie has it, or several have the title.
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
        raise MovieNotFoundError(f"{text!r}: several movies have this title; give an id: {ids}")
    close = ", ".join(f"{movie.title} (id {movie.movie_id})" for movie in _like(movies, wanted))
    hint = f"did you mean {close}?" if close else "no title is like it"
    raise MovieNotFoundError(f"{text!r}: no movie of the model has this id or title; {hint}")


def _like(movies: Sequence[Movie], wanted: str) -> list[Movie]:
    """Movies whose title contains what is wanted, or else is spelt much like it."""
    titles = [_plain(movie.title) for movie in movies]
    containing = [
        movie for movie, title in zip(movies, titles, strict=True) if wanted and wanted in title
    ]
    if containing:
        return containing[:_SUGGESTIONS]
    by_title: dict[str, list[Movie]] = {}
    for movie, title in zip(movies, titles, strict=True):
        by_title.setdefault(_YEAR.sub("", title), []).append(movie)
    close = difflib.get_close_matches(_YEAR.sub("", wanted), by_title, _SUGGESTIONS)
    return [movie for title in close for movie in by_title[title]][:_SUGGESTIONS]


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
