"""Side features: what is known of users and movies beside ratings, such as age or genre.

A feature has a name such as `gender=F`. What is before the equals sign is its group. The functions
that name features run in the Transform step and in the exported model, so both agree.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import tensorflow as tf

# In the vocabularies of the Transform step, between an id and its features.
SEPARATOR: Final = "\t"

# Lower edges. Those of MovieLens-1M's ages; most of its movies are of a few recent years.
_AGES: Final = (0, 18, 25, 30, 35, 40, 45, 50, 56)
_YEARS: Final = (1, 1940, 1950, 1960, 1970, 1975, 1980, 1985, *range(1990, 2040))
# MovieLens has 40 for users and, with years, 80 for movies.
_MOST_FEATURES: Final = 256
_YEAR_IN_TITLE: Final = r".*\((\d{4})\).*"

Matrix = np.ndarray[Any, np.dtype[np.float32]]
_Index = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class SideFeatures:
    """Features of all users, or of all movies.

    Attributes:
        names: Names of the features, those of a group together.
        row: Row of the user or movie that has each feature, int32 `[n]`.
        feature: Position of that feature in `names`, int32 `[n]`.
    """

    names: tuple[str, ...]
    row: _Index
    feature: _Index

    def groups(self) -> dict[str, slice]:
        """Returns the positions of each group in `names`."""
        of_names = [name.partition("=")[0] for name in self.names]
        return {
            group: slice(of_names.index(group), of_names.index(group) + of_names.count(group))
            for group in dict.fromkeys(of_names)
        }

    def matrix(self, rows: int) -> Matrix:
        """Returns numbers that say which features each user or movie has.

        A feature counts 1 over the root of the number that the row has of its group, so a movie
        with three genres weighs as much as one with one.

        Args:
            rows: Number of users or movies.

        Returns:
            float32 `[rows, features]`.
        """
        matrix = np.zeros([rows, len(self.names)], np.float32)
        matrix[self.row, self.feature] = 1
        for columns in self.groups().values():
            counts = matrix[:, columns].sum(axis=1, keepdims=True)
            matrix[:, columns] /= np.sqrt(np.maximum(counts, 1))
        return matrix

    def means(self, rows: int) -> Matrix:
        """Returns the mean of each column of `matrix` over the rows that have its group.

        Args:
            rows: Number of users or movies.

        Returns:
            float32 `[features]`.
        """
        return self._means(self.matrix(rows))

    def _means(self, matrix: Matrix) -> Matrix:
        means = np.zeros(len(self.names), np.float32)
        for columns in self.groups().values():
            known = (matrix[:, columns] != 0).sum(axis=1) > 0
            means[columns] = matrix[:, columns].sum(axis=0, dtype=np.float64) / known.sum()
        return means

    def centred(self, rows: int) -> Matrix:
        """Returns `matrix` less `means`, and 0 where nothing of the group is known.

        Args:
            rows: Number of users or movies.

        Returns:
            float32 `[rows, features]`.
        """
        matrix = self.matrix(rows)
        means = self._means(matrix)
        for columns in self.groups().values():
            known = (matrix[:, columns] != 0).sum(axis=1) > 0
            matrix[:, columns] -= known[:, np.newaxis] * means[columns]
        return matrix

    def digest(self) -> str:
        """Returns a digest of the features of all rows."""
        digest = hashlib.blake2b("\0".join(self.names).encode(), digest_size=12)
        for index in (self.row, self.feature):
            digest.update(index.tobytes())
        return digest.hexdigest()


class Sides(NamedTuple):
    """The side features of users and of movies."""

    users: SideFeatures
    movies: SideFeatures

    def digests(self) -> list[str]:
        """Returns a digest of the features of all users, and one of those of all movies."""
        return [side.digest() for side in self]


_NONE: Final = SideFeatures((), np.empty(0, np.int32), np.empty(0, np.int32))
NO_SIDES: Final = Sides(_NONE, _NONE)


def read_side_features(lines: Iterable[bytes], ids: Sequence[str]) -> SideFeatures:
    """Returns the features in a vocabulary whose lines are an id and its features.

    Args:
        lines: Lines of the vocabulary; of several with one id, the first counts.
        ids: Known ids by row.
    """
    found: dict[str, list[str]] = {}
    for line in lines:
        name, *features = line.decode().split(SEPARATOR)
        found.setdefault(name, [feature for feature in features if feature])
    return side_features([found.get(name, []) for name in ids])


def movie_side_features(genres: Sequence[Sequence[str]], titles: Sequence[str]) -> SideFeatures:
    """Returns the features of movies by their genres and the years in their titles.

    Args:
        genres: Genres of each movie.
        titles: Titles of the movies, empty where there is none.
    """
    named = movie_features(
        tf.ragged.constant(genres, tf.string, ragged_rank=1).to_tensor(""),
        tf.zeros([len(titles)], tf.int64),
        tf.constant(titles, tf.string),
    )
    of_rows = np.concatenate([names.numpy() for names in named.values()], axis=1)
    return side_features([[name.decode() for name in row if name] for row in of_rows])


def side_features(of_rows: Sequence[Sequence[str]]) -> SideFeatures:
    """Returns the features of rows as indices.

    Only the 256 most frequent features are kept, so that memory is bounded whatever the data call a
    genre.

    Args:
        of_rows: Names of the features of each row.
    """
    counts = Counter(name for features in of_rows for name in set(features))
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_FEATURES]
    names = tuple(sorted(frequent))
    position = {name: place for place, name in enumerate(names)}
    pairs = [
        (row, position[name])
        for row, features in enumerate(of_rows)
        for name in set(features)
        if name in position
    ]
    index = np.array(sorted(pairs), np.int32).reshape(-1, 2)
    return SideFeatures(names, index[:, 0], index[:, 1])


def user_features(
    age: tf.Tensor, gender: tf.Tensor, occupation: tf.Tensor
) -> Mapping[str, tf.Tensor]:
    """Returns the names of users' features by group, empty where nothing is known.

    Args:
        age: Ages in years, int `[B]`; 0 if unknown.
        gender: `F` or `M`, string `[B]`; empty if unknown.
        occupation: Occupations, string `[B]`; empty if unknown.

    Returns:
        string `[B, 1]` each.
    """
    groups = {
        "age": _steps("age", age, _AGES),
        "gender": _named("gender", gender),
        "occupation": _named("occupation", occupation),
    }
    return {group: names[:, tf.newaxis] for group, names in groups.items()}


def movie_features(genres: tf.Tensor, year: tf.Tensor, title: tf.Tensor) -> Mapping[str, tf.Tensor]:
    """Returns the names of movies' features by group, empty where nothing is known.

    Args:
        genres: Genres, string `[B, G]`; rows are padded with empty strings.
        year: Years, int `[B]`; 0 takes the year from the title.
        title: Titles, string `[B]`; `Heat (1995)` has a year.

    Returns:
        string `[B, G]` and `[B, 1]`.
    """
    has_year = tf.strings.regex_full_match(title, _YEAR_IN_TITLE)
    digits = tf.where(has_year, tf.strings.regex_replace(title, _YEAR_IN_TITLE, r"\1"), "0")
    year = tf.where(year > 0, tf.cast(year, tf.int64), tf.strings.to_number(digits, tf.int64))
    return {
        "genre": _named("genre", genres),
        "year": _steps("year", year, _YEARS)[:, tf.newaxis],
    }


def _named(group: str, values: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.strings.length(values) > 0, tf.strings.join([f"{group}=", values]), "")


def _steps(group: str, values: tf.Tensor, edges: Sequence[int]) -> tf.Tensor:
    """Returns the name of the step in which each value lies, empty below the first edge or at 0."""
    values = tf.cast(values, tf.int64)
    names = ["", *(f"{group}={edge}" for edge in edges)]
    step = tf.searchsorted(tf.constant(edges, tf.int64), values, side="right")
    return tf.where(values > 0, tf.gather(tf.constant(names), step), "")
