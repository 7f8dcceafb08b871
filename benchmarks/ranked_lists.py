"""Compares the lists of a pushed rating model with other orders of the same movies.

    .venv/bin/python -m benchmarks.ranked_lists [--workspace DIR] [--json]

The lists of ten are those that the pushed model recommends, the unrated movies by predicted rating
alone, and those by number of training ratings. A holdout rating of four stars or more makes a movie
liked. The movies of training are left out, and the rest of the catalogue is ranked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.pushed_version import pushed_version
from components import ratings
from components.recommendation_lists import TrainingCounts, positions, read_counts, recommended
from models import features
from models.export.saved_model import read_table
from models.options import ModelOptions
from models.ranking import CUTOFF, NEVER, ranking_figures
from pipeline import summary
from pipeline.workspace import Workspace
from serving.pushed_model import PushedModel

_LIKED: Final = ModelOptions().liked_rating

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ListFigures:
    """Figures of the lists of the users who liked a movie of the holdout.

    Attributes:
        users: Number of these users.
        ndcg: NDCG@10.
        recall: Recall@10.
        coverage: Share of the catalogue that is in at least one list.
        popularity: Mean number of training ratings of a movie in a list.
    """

    users: int
    ndcg: float
    recall: float
    coverage: float
    popularity: float


def figures(lists: Array, users: Array, movies: Array, counts: Array) -> ListFigures:
    """Returns the figures of lists.

    Args:
        lists: Movies of each user's list, best first, int `[n, k]`; −1 for none.
        users: Row in `lists` of each liked pair, int `[pairs]`; every row has a pair.
        movies: Movie of each liked pair, int `[pairs]`; −2 for one that the model does not know.
        counts: Number of training ratings of each movie, int `[movies]`.
    """
    hits = lists[users] == movies[:, np.newaxis]
    ranks = np.where(hits.any(axis=1), 1 + hits.argmax(axis=1), NEVER)
    found = ranking_figures(users, ranks, lists.shape[1])
    shown = lists[lists >= 0]
    return ListFigures(
        users=found.users,
        ndcg=found.ndcg,
        recall=found.recall,
        coverage=len(np.unique(shown)) / len(counts),
        popularity=float(counts[shown].mean()),
    )


def best_unseen(scores: Array, users: Array, counts: TrainingCounts) -> Array:
    """Returns the movies with the highest scores that each user did not rate, int `[n, 10]`.

    Args:
        scores: Scores of all movies, float `[n, movies]`.
        users: Indices of the users, int `[n]`.
        counts: What the export knows of its training ratings.
    """
    scores = scores.copy()
    for row, user in enumerate(users):
        scores[row, counts.seen[counts.seen_splits[user] : counts.seen_splits[user + 1]]] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :CUTOFF]
    return np.where(np.isfinite(np.take_along_axis(scores, best, axis=1)), best, -1)


def measure(pushed: Path, holdout: Mapping[str, Array]) -> dict[str, ListFigures]:
    """Returns the figures of each order.

    Args:
        pushed: Folder of the pushed version, of a model that predicts ratings.
        holdout: `user_id`, `movie_id` and `rating` of the holdout.
    """
    counts = read_counts(str(pushed))
    liked = holdout[features.RATING] >= _LIKED
    pairs = positions(counts.user_ids, holdout[features.USER_ID][liked])
    movies = positions(counts.movie_ids, holdout[features.MOVIE_ID][liked])
    is_known = pairs < len(counts.user_ids)
    users, rows = np.unique(pairs[is_known], return_inverse=True)
    movies = np.where(movies < len(counts.movie_ids), movies, -2)[is_known]
    vectors = (read_table(str(pushed), f"{kind}_vectors") for kind in ("user", "movie"))
    of_users, of_movies = (table.astype(np.float64) for table in vectors)
    dots = of_users[users] @ of_movies[: len(counts.movie_ids)].T
    popularity = np.broadcast_to(counts.movie_counts.astype(np.float64), dots.shape)
    orders = {
        "as recommended": recommended(PushedModel(pushed), counts, users),
        "by predicted rating": best_unseen(dots, users, counts),
        "by popularity": best_unseen(popularity, users, counts),
    }
    return {
        name: figures(lists, rows, movies, counts.movie_counts) for name, lists in orders.items()
    }


def as_table(results: Mapping[str, ListFigures]) -> Table:
    """Returns a table with a row for each order."""
    users = next(iter(results.values())).users
    table = Table(title=f"Lists of {users} users who liked a movie of the holdout")
    for heading in ("", "NDCG@10", "Recall@10", "coverage", "ratings a movie"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, found in results.items():
        numbers = (found.ndcg, found.recall, found.coverage)
        cells = (f"{number:.4f}" for number in numbers)
        table.add_row(name, *cells, f"{found.popularity:.1f}")
    return table


def main(
    workspace: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("workspace"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the lists of the newest pushed model on the holdout of its run."""
    folder = Workspace(workspace)
    pushed = pushed_version(folder)
    examples = summary.of_pushed_model(folder, pushed).examples
    results = measure(pushed, ratings.read(examples, features.HOLDOUT))
    if as_json:
        print(json.dumps(results, default=asdict))
    else:
        Console().print(as_table(results))


if __name__ == "__main__":
    typer.run(main)
