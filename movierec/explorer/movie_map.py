"""A map of movies in two dimensions: the first two principal components of their vectors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np

from movierec.explorer.exported_catalogue import ExportedCatalogue
from serving.answers import Movie

# More points would hide each other.
MOST_MOVIES: Final = 600
# Size of the map, in units of the drawing.
WIDTH: Final = 1000
HEIGHT: Final = 700
# As many colours can be told apart.
_COLOURS: Final = 8
_MARGIN: Final = 20
# Percentiles that the map shows; movies outside are drawn at its edge.
_SHOWN: Final = (1, 99)


@dataclass(frozen=True)
class Point:
    """A movie on the map.

    Attributes:
        movie: Movie at this place.
        x: Units from the left edge.
        y: Units from the upper edge.
        colour: Number of its genre's colour; None for a genre without one.
        chosen: Whether the movie has the chosen genre; True for all if none is chosen.
    """

    movie: Movie
    x: float
    y: float
    colour: int | None
    chosen: bool


@dataclass(frozen=True)
class MovieMap:
    """Points, and the genres that have a colour by its number."""

    points: list[Point]
    genres: list[str]


def draw_map(catalogue: ExportedCatalogue, genre: str | None) -> MovieMap:
    """Returns the map of the most rated movies.

    A movie has the colour of the first of its genres that has one.

    Args:
        catalogue: Movies with their vectors and genres.
        genre: Genre to choose; None chooses all movies.
    """
    counts = Counter(chain.from_iterable(catalogue.genres_of_movies))
    coloured = [name for name, _ in counts.most_common(_COLOURS)]
    places = _on_canvas(principal_components(catalogue.vectors)[:MOST_MOVIES])
    points = []
    shown = zip(catalogue.movies, catalogue.genres_of_movies, places, strict=False)
    for movie, genres, (x, y) in shown:
        colours = (coloured.index(name) for name in genres if name in coloured)
        chosen = genre is None or genre in genres
        points.append(Point(movie, float(x), float(y), next(colours, None), chosen))
    # The chosen ones are drawn above the others.
    return MovieMap(sorted(points, key=lambda point: point.chosen), coloured)


def principal_components(
    vectors: np.ndarray[Any, np.dtype[Any]],
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns the first two principal components of n vectors, float64 `[n, 2]`.

    The first component has the largest variance. Of the two signs of a direction, the one counts
    whose largest entry is positive.

    Args:
        vectors: Vectors, float `[n, d]`.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    first_two = directions[:, ::-1][:, :2]
    largest = np.take_along_axis(first_two, np.abs(first_two).argmax(axis=0)[np.newaxis], axis=0)
    components: np.ndarray[Any, np.dtype[np.float64]] = centred @ (first_two * np.sign(largest))
    return np.pad(components, [(0, 0), (0, 2 - components.shape[1])])


def _on_canvas(
    components: np.ndarray[Any, np.dtype[np.float64]],
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns places inside the margins, `[n, 2]`."""
    low, high = np.percentile(components, _SHOWN, axis=0)
    spread = np.where(high > low, high - low, 1)
    shares = np.clip((components - low) / spread, 0, 1)
    size = np.array([WIDTH, HEIGHT]) - 2 * _MARGIN
    return np.round(_MARGIN + shares * size, 1)
