"""MovieLens-100K as it would have come week by week, as folders that `movierec run` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from benchmarks.poisonings import Array
from components.movielens_example_gen import reading, splits
from components.movielens_example_gen.options import SplitOptions
from models import features
from pipeline.config.tree import PipelineConfig
from pipeline.datasets import locate
from pipeline.ingest_options import ingest_options

WEEKS: Final = 52
EDITION: Final = "ml-latest-small"
"""Edition in whose form the folders are. It takes half stars, so a scale of halves is no error."""


class RatingsByWeek:
    """All ratings in the order of their times, the first of which are there from the start."""

    def __init__(self, start: float) -> None:
        """Reads the ratings.

        Args:
            start: Share of the ratings that is there before the first week, in [0, 1). The other
                ratings come in 52 equal parts.
        """
        config = PipelineConfig()
        raw, cleaned = reading.read(str(locate(config.data)), ingest_options(config))
        self._ratings = cleaned.accepted.sort_by(features.TIMESTAMP)
        assert raw.movies is not None  # MovieLens-100K has them.
        self._movies = raw.movies
        self._start = start

    def until(self, week: int) -> pa.Table:
        """Returns the ratings up to a week, oldest first.

        Args:
            week: Number of the week, from 1.
        """
        share = self._start + (1 - self._start) * week / WEEKS
        return self._ratings.slice(0, round(share * self._ratings.num_rows))

    def holdout_until(self, week: int) -> dict[str, Array]:
        """Returns the columns of the ratings up to a week that a run holds out."""
        ratings = self.until(week)
        codes = splits.assign(ratings, ratings.num_rows, SplitOptions())
        held_out = ratings.filter(pa.array(codes == splits.HOLDOUT))
        return {
            features.USER_ID: _texts(held_out[features.USER_ID]),
            features.MOVIE_ID: _texts(held_out[features.MOVIE_ID]),
            features.RATING: held_out[features.RATING].to_numpy(),
        }

    def write(self, folder: Path, week: int, stars: Array | None = None) -> None:
        """Writes the ratings up to a week as a folder of the edition `EDITION`.

        Args:
            folder: Folder to write into.
            week: Number of the week.
            stars: Stars in the place of those of the ratings, `[n]`.
        """
        ratings = self.until(week)
        if stars is not None:
            position = ratings.column_names.index(features.RATING)
            changed = pa.array(stars, pa.float32())
            ratings = ratings.set_column(position, features.RATING, changed)
        _write_ratings(folder, ratings)
        self._write_movies(folder)

    def write_span(self, folder: Path, week: int) -> None:
        """Writes the ratings of one week alone, in the same form; the first has those before too.

        Args:
            folder: Folder to write into.
            week: Number of the week.
        """
        before = 0 if week == 1 else self.until(week - 1).num_rows
        # Written aside: a folder that is there is whole.
        aside = folder.with_name(f"{folder.name}.tmp")
        _write_ratings(aside, self.until(week).slice(before))
        self._write_movies(aside)
        aside.rename(folder)

    def _write_movies(self, folder: Path) -> None:
        pyarrow.csv.write_csv(
            pa.table(
                {
                    "movieId": self._movies[features.MOVIE_ID],
                    "title": self._movies[features.MOVIE_TITLE],
                    "genres": pc.binary_join(self._movies[features.MOVIE_GENRES], "|"),
                }
            ),
            folder / "movies.csv",
        )

    def write_golden_set(self, folder: Path, size: int, seed: int) -> None:
        """Writes random ratings of the first week, as they are before anything goes wrong.

        Args:
            folder: Folder to write into.
            size: Number of ratings.
            seed: Seed of the choice.
        """
        ratings = self.until(1)
        rows = np.random.default_rng(seed).choice(ratings.num_rows, size, replace=False)
        _write_ratings(folder, ratings.take(np.sort(rows)))


def _write_ratings(folder: Path, ratings: pa.Table) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "userId": features.USER_ID,
        "movieId": features.MOVIE_ID,
        "rating": features.RATING,
        "timestamp": features.TIMESTAMP,
    }
    table = pa.table({name: ratings[feature] for name, feature in columns.items()})
    pyarrow.csv.write_csv(table, folder / "ratings.csv")


def _texts(ids: pa.ChunkedArray) -> Array:
    return np.array([text.encode() for text in ids.to_pylist()], object)
