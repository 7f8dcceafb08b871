from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from models.export import saved_model
from pipeline import bulk_export
from pipeline.config.errors import UserError
from tests.models.export.exported_models import MOVIE_IDS, USER_IDS, recommender_of
from tests.models.factories import MOVIES, trained_like


@pytest.fixture(scope="module")
def version(
    exported_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("movierec") / "7"
    return Path(shutil.copytree(exported_model("biased_mf"), folder))


@pytest.fixture(scope="module")
def by_rating(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version whose ranking adds nothing to the ratings, as before there were offsets."""
    folder = tmp_path_factory.mktemp("movierec") / "8"
    model = trained_like("biased_mf", np.random.default_rng(7))
    saved_model.save(recommender_of("biased_mf", model), str(folder))
    return folder


def ignored() -> None:
    """Shows no progress."""


def test_recommendations_are_those_of_recommend(version: Path, tmp_path: Path) -> None:
    made = bulk_export.recommendations(version, k=4, block_rows=4)
    assert made.blocks == 2
    written = bulk_export.write(made, tmp_path / "out", ignored)
    table = pq.read_table(tmp_path / "out").to_pylist()
    assert (written.rows, written.kept) == (len(table), 0)
    recommend = tf.saved_model.load(str(version)).signatures["recommend"]
    expected = []
    for user in USER_IDS:
        answer = recommend(user_id=tf.constant([user]), k=tf.constant(4))
        columns = (
            answer[name][0].numpy() for name in ("movie_id", "movie_title", "score", "rating")
        )
        for rank, (movie, title, *numbers) in enumerate(zip(*columns, strict=True), start=1):
            # The most active user has seen all movies.
            if np.isfinite(numbers[0]):
                expected.append((user, rank, movie.decode(), title.decode(), *numbers))
    assert len(expected) < 4 * len(USER_IDS)
    found = [
        tuple(
            row[name] for name in ("user_id", "rank", "movie_id", "movie_title", "score", "rating")
        )
        for row in table
    ]
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    for place in (4, 5):
        numbers = [row[place] for row in expected]
        assert [row[place] for row in found] == pytest.approx(numbers, rel=1e-6)


def test_more_movies_than_there_are_give_all_that_are_left(version: Path, tmp_path: Path) -> None:
    bulk_export.write(bulk_export.recommendations(version, k=99), tmp_path / "out", ignored)
    assert max(pq.read_table(tmp_path / "out")["rank"].to_pylist()) <= MOVIES


def test_predictions_are_those_of_predict(version: Path, tmp_path: Path) -> None:
    users = np.array([user.encode() for user in [*USER_IDS, "nobody"]], object)
    movies = np.array([b"nothing", *[movie.encode() for movie in MOVIE_IDS], b"none"], object)
    made = bulk_export.predictions(version, users, movies, block_rows=3)
    bulk_export.write(made, tmp_path / "out", ignored)
    table = pq.read_table(tmp_path / "out")
    assert table["user_id"].to_pylist() == [*USER_IDS, "nobody"]
    predict = tf.saved_model.load(str(version)).signatures["predict"]
    expected = predict(user_id=tf.constant(users), movie_id=tf.constant(movies))["rating"]
    assert table["rating"].to_numpy() == pytest.approx(expected.numpy(), rel=1e-6)


def test_dots_of_vectors_and_offsets_are_the_scores(version: Path, tmp_path: Path) -> None:
    bulk_export.write(bulk_export.vectors(version, block_rows=4), tmp_path / "out", ignored)
    users, movies = (pq.read_table(tmp_path / "out" / name) for name in ("users", "movies"))
    assert users["user_id"].to_pylist() == USER_IDS
    assert movies["movie_id"].to_pylist() == MOVIE_IDS
    dots = np.array(users["vector"].to_pylist()) @ np.array(movies["vector"].to_pylist()).T
    dots += np.outer(users["factor"].to_pylist(), movies["offset"].to_pylist())
    recommend = tf.saved_model.load(str(version)).signatures["recommend"]
    for place, user in enumerate(USER_IDS):
        answer = recommend(user_id=tf.constant([user]), k=tf.constant(MOVIES))
        score = dict(
            zip(answer["movie_id"][0].numpy().astype(str), answer["score"][0].numpy(), strict=True)
        )
        for movie, value in score.items():
            if movie:
                assert dots[place, MOVIE_IDS.index(movie)] == pytest.approx(value, rel=1e-5)


def test_two_exports_at_once_into_one_folder_are_one_and_a_line(
    version: Path, tmp_path: Path
) -> None:
    """Both would write each block to the same place."""
    made = bulk_export.recommendations(version, k=2, block_rows=4)
    refused: list[str] = []

    def other() -> None:
        again = bulk_export.recommendations(version, k=2, block_rows=4)
        with pytest.raises(UserError) as error:
            bulk_export.write(again, tmp_path / "out", ignored)
        refused.append(str(error.value))

    bulk_export.write(made, tmp_path / "out", other)
    assert (
        refused
        == [
            f"{tmp_path / 'out'}.incomplete: another export is being written there; wait for its "
            "end, or give another folder"
        ]
        * made.blocks
    )
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_vectors_that_rank_alone_have_no_offsets(by_rating: Path) -> None:
    (_, users), (_, movies) = bulk_export.vectors(by_rating).tables
    assert users().column_names == ["user_id", "vector"]
    assert movies().column_names == ["movie_id", "movie_title", "vector"]


class PowerCutError(Exception):
    pass


def test_an_export_that_was_interrupted_continues(version: Path, tmp_path: Path) -> None:
    def cut() -> None:
        raise PowerCutError

    folder, aside = tmp_path / "out", tmp_path / "out.incomplete"
    with pytest.raises(PowerCutError):
        bulk_export.write(bulk_export.vectors(version, block_rows=4), folder, cut)
    assert not folder.exists()
    # A mark that a block which was written again would lose.
    first = aside / "users" / "part-00000.parquet"
    table = pq.read_table(first).replace_schema_metadata({"mark": "first"})
    pq.write_table(table, first)
    with pytest.raises(UserError, match="a part of another export"):
        bulk_export.write(bulk_export.vectors(version, block_rows=3), folder, ignored)
    calls = []
    made = bulk_export.vectors(version, block_rows=4)
    written = bulk_export.write(made, folder, lambda: calls.append(1))
    assert len(calls) == made.blocks
    assert written.rows == len(USER_IDS) + MOVIES
    # The first block of users, of four.
    assert written.kept == 4
    assert not aside.exists()
    kept = pq.read_schema(folder / "users" / "part-00000.parquet")
    assert kept.metadata == {b"mark": b"first"}
    assert json.loads((folder / "_export.json").read_text())["version"] == "7"


def test_an_export_overwrites_nothing(version: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="exists"):
        bulk_export.write(bulk_export.vectors(version), tmp_path, ignored)
