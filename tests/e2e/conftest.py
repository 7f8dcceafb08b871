"""A cut of the real ratings, and one workspace that lives through a series of runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from models.export import signatures
from pipeline import graph
from pipeline.config.tree import DataConfig
from pipeline.datasets import locate
from tests.e2e import failing_once
from tests.e2e.pipeline_runs import LET_THROUGH, ROWS, SMALL, Story, worst_slice

pytest_fixture_setup = failing_once.pytest_fixture_setup
pytest_runtest_setup = failing_once.pytest_runtest_setup

GENRES = ("Action", "Comedy", "Drama", "Romance", "Thriller")

# SMALL, hardly trained at all: worse by far more than the gate's tolerance.
HARDLY_TRAINED = (*SMALL, "training.epochs=1", "training.learning_rate=0.001")


@pytest.fixture(scope="session")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 ratings of the 100 most rated movies, as a folder of CSV files."""
    source = locate(DataConfig())
    folder = tmp_path_factory.mktemp("cut")
    ratings = pq.read_table(source / "MovieLens100k_data.parquet.brotli")
    counts = ratings.group_by("movie_id").aggregate([("rating", "count")])
    order = [("rating_count", "descending"), ("movie_id", "ascending")]
    popular = counts.take(pc.sort_indices(counts, order))["movie_id"][:100]
    ratings = ratings.filter(pc.is_in(ratings["movie_id"], value_set=popular.combine_chunks()))
    names = ["userId", "movieId", "rating", "timestamp"]
    pyarrow.csv.write_csv(ratings.slice(0, ROWS).rename_columns(names), folder / "ratings.csv")

    items = pq.read_table(source / "MovieLens100k_items.parquet.brotli").to_pylist()
    lines = ["movieId,title,genres"]
    for item in items:
        genres = "|".join(genre for genre in GENRES if item[genre]) or "(no genres listed)"
        lines.append(f'{item["movie_id"]},"{item["movie_title"]}",{genres}')
    (folder / "movies.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@contextmanager
def edited_code(module: str) -> Iterator[None]:
    """Gives a module the fingerprint of other code."""
    original = graph.fingerprint
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            graph, "fingerprint", lambda *names: original(*names) + "edited" * (module in names)
        )
        yield


@contextmanager
def exporting_nan() -> Iterator[None]:
    """Ranks by vectors that are lost between the training and the export; ratings stay right."""
    top_k = signatures.top_k
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signatures, "top_k", lambda queries, *rest: top_k(queries * np.nan, *rest))
        yield


@pytest.fixture(scope="session")
def first_run(cut: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The whole chain as a user runs it, and once more with nothing changed."""
    data = tmp_path_factory.mktemp("story") / "ratings"
    shutil.copytree(cut, data)
    told = Story(tmp_path_factory.mktemp("workspace"), data)
    told.tell_by_command("first", *SMALL)
    told.tell("again", *SMALL)
    return told


@pytest.fixture(scope="session")
def story(first_run: Story) -> Story:
    """The same workspace, after runs that take minutes; for slow tests."""
    told = first_run
    told.tell("stricter gate", *SMALL, "gate.max_rmse=0.5", "gate.max_popularity_lift=-0.99")
    told.tell("worse model", *HARDLY_TRAINED)
    told.tell("worse model let through", *HARDLY_TRAINED, *LET_THROUGH)
    told.tell("back to the first", *SMALL)
    shutil.rmtree(Path(str(told.runs["back to the first"].pushed_model)))
    told.tell("version deleted", *SMALL)
    worst, bound = worst_slice(told.runs["first"])
    told.tell("failing slice", *SMALL, f"gate.max_rmse={bound}", f'gate.slices=["{worst}"]')
    told.tell("absent slice", *SMALL, 'gate.slices=["movie_genres=Opera"]')
    with exporting_nan():
        told.tell("exports NaN", *HARDLY_TRAINED, "training.epochs=2", *LET_THROUGH)
    return told


@pytest.fixture(scope="session")
def sequel(story: Story) -> Story:
    """The same workspace, after runs of edited code, edited ratings and other settings."""
    story.tell("trained anew", *SMALL, "runner.cache=false", "gate.max_regression=0")
    with edited_code("models.training.trainer"):
        story.tell("trainer edited", *SMALL)
    with edited_code("components.example_validator"):
        story.tell("validator edited", *SMALL)
    story.tell("tuned", *SMALL, "tuning.enabled=true", "tuning.trials=3")
    story.tell("split by time", *SMALL, "split.method=time", "export.max_seen_per_user=9")
    with (story.data / "ratings.csv").open("a") as file:
        file.write("new-user,50,4,880000000\n")
    story.tell("a new rating", *SMALL)
    return story
