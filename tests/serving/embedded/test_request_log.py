from __future__ import annotations

import json
import logging
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from models.export.training_population import TrainingPopulation, read_population
from serving.embedded import request_log
from serving.embedded.request_log import FILES, MAX_IDS, RequestLog, numbered
from serving.errors import ServingError
from serving.server_options import RequestLogOptions, ServerOptions
from tests.models.export import exported_models
from tests.serving.asking import VERSION, asking, running, wait_until

POPULATION = TrainingPopulation(
    user_activity={b"anna": "21-50", b"ben": "201+"},
    movie_decile={b"m1": "10", b"m2": "1"},
    movie_genres={b"m1": ("Drama", "War"), b"m2": ()},
    movie_ratings={b"m1": 9, b"m2": 1},
)


def request(signature: str, **inputs: Any) -> predict_pb2.PredictRequest:
    message = predict_pb2.PredictRequest()
    message.model_spec.name = "movierec"
    message.model_spec.signature_name = signature
    for name, value in inputs.items():
        message.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return message


RECOMMEND = request("recommend", user_id=["anna", "nobody"], k=np.int32(7))


@contextmanager
def logging_into(
    folder: Path, *, share: float = 1.0, max_bytes: int = 1 << 20, raw_ids: bool = False
) -> Iterator[tuple[RequestLog, Counter[str]]]:
    counts: Counter[str] = Counter()
    log = RequestLog(
        RequestLogOptions(folder, share, max_bytes, raw_ids), lambda name: counts.update([name])
    )
    try:
        yield log, counts
    finally:
        log.close()


def offer(log: RequestLog, message: predict_pb2.PredictRequest = RECOMMEND) -> None:
    log.offer(message, VERSION, POPULATION, 0.25)


def lines(folder: Path) -> list[dict[str, Any]]:
    files = numbered(folder)
    return [
        json.loads(line)
        for number in sorted(files)
        for line in files[number].read_text().splitlines()
    ]


def test_what_a_line_has(tmp_path: Path) -> None:
    with logging_into(tmp_path, raw_ids=True) as (log, counts):
        offer(log)
        offer(log, request("predict", user_id=["ben"], movie_id=["m1"]))
    first, second = lines(tmp_path)
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "version": VERSION,
        "signature": "recommend",
        "rows": 2,
        "seconds": 0.25,
        "k": 7,
        "users": [
            {"id": "anna", "activity": "21-50"},
            {"id": "nobody", "activity": "unknown"},
        ],
        "movies": [],
    }
    assert second["users"] == [{"id": "ben", "activity": "201+"}]
    assert second["movies"] == [{"id": "m1", "decile": "10", "genres": ["Drama", "War"]}]
    assert counts == {request_log.WRITTEN: 2}


def test_ids_are_hashes_by_a_key_of_the_server(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        with logging_into(tmp_path / folder) as (log, _):
            offer(log)
            offer(log)
    (one, again), (two, _) = lines(tmp_path / "one"), lines(tmp_path / "two")
    assert one["users"] == again["users"]
    ids = {user["id"] for line in (one, two) for user in line["users"]}
    assert len(ids) == 4
    assert not ids & {"anna", "nobody"}
    assert [user["activity"] for user in one["users"]] == ["21-50", "unknown"]


def test_ids_in_examples_and_lists(tmp_path: Path) -> None:
    example = tf.train.Example()
    example.features.feature["user_id"].bytes_list.value.append(b"ben")
    example.features.feature["movie_id"].bytes_list.value.append(b"m2")
    with logging_into(tmp_path, raw_ids=True) as (log, _):
        offer(log, request("", examples=[example.SerializeToString()]))
        stars = np.ones([2, 2], np.float32)
        rated = [["m1", ""], ["m2", "m9"]]
        offer(log, request("recommend_for_ratings", movie_id=rated, rating=stars, k=np.int32(1)))
    one, lists = lines(tmp_path)
    assert one["signature"] == "serving_default"
    assert [one["users"][0]["id"], one["movies"][0]["id"]] == ["ben", "m2"]
    # An empty id fills up a row.
    assert [movie["id"] for movie in lists["movies"]] == ["m1", "m2", "m9"]
    assert [movie["decile"] for movie in lists["movies"]] == ["10", "1", "unknown"]
    assert lists["rows"] == 2


def test_inputs_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    with logging_into(tmp_path, raw_ids=True) as (log, _):
        # A tag that is cut off.
        offer(log, request("", examples=[b"\xff"]))
        # Of another SavedModel.
        offer(log, request("other", user_id=np.int64([7]), k=np.zeros(0, np.int32)))
        offer(log)
    damaged, other, last = lines(tmp_path)
    assert damaged["users"] == other["users"] == []
    assert "k" not in other
    assert last["users"]


def test_a_large_request_has_some_of_its_ids(tmp_path: Path) -> None:
    users = [f"u{number}" for number in range(10 * MAX_IDS)]
    with logging_into(tmp_path, raw_ids=True) as (log, _):
        offer(log, request("recommend", user_id=users, k=np.int32(1)))
    (line,) = lines(tmp_path)
    assert line["rows"] == 10 * MAX_IDS
    assert [user["id"] for user in line["users"]] == users[::10]


def test_a_share_is_logged(tmp_path: Path) -> None:
    with logging_into(tmp_path, share=0.25) as (log, counts):
        for _ in range(4000):
            offer(log)
    # Seven standard deviations of 27.
    assert 800 < counts[request_log.WRITTEN] < 1200
    assert counts.total() == len(lines(tmp_path))


def test_the_size_is_bounded_and_the_newest_lines_stay(tmp_path: Path) -> None:
    limit = FILES * 1000
    with logging_into(tmp_path, max_bytes=limit, raw_ids=True) as (log, counts):
        for number in range(300):
            offer(log, request("recommend", user_id=[f"{number:04}"], k=np.int32(1)))
        wait_until(lambda: counts[request_log.WRITTEN] == 300)
    files = numbered(tmp_path)
    assert len(files) == FILES
    assert sum(path.stat().st_size for path in files.values()) <= limit
    kept = [line["users"][0]["id"] for line in lines(tmp_path)]
    assert kept == [f"{number:04}" for number in range(300 - len(kept), 300)]
    assert len(kept) > 50


def test_a_log_is_continued(tmp_path: Path) -> None:
    for _ in range(2):
        with logging_into(tmp_path) as (log, _):
            offer(log)
    assert len(numbered(tmp_path)) == 1
    assert len(lines(tmp_path)) == 2


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond the size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_once_and_fails_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "serving")
    with logging_into(tmp_path) as (log, counts):
        offer(log)
        wait_until(lambda: counts[request_log.WRITTEN] == 1)
        (path,) = numbered(tmp_path).values()
        # Room for a part of a line.
        with file_size_limit(path.stat().st_size + 20):
            for _ in range(3):
                offer(log)
            wait_until(lambda: counts[request_log.FAILED] == 3)
        offer(log)
        wait_until(lambda: counts[request_log.WRITTEN] == 2)
    assert len(lines(tmp_path)) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert str(tmp_path) in caplog.messages[0]


def test_a_folder_that_is_gone_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with logging_into(folder) as (log, counts):
        offer(log)
        wait_until(lambda: counts[request_log.WRITTEN] == 1)
        next(iter(numbered(folder).values())).unlink()
        folder.rmdir()
        for _ in range(2):
            offer(log)
        wait_until(lambda: counts.total() == 3)
    assert counts == {request_log.WRITTEN: 3}
    assert len(lines(folder)) == 2


def test_what_does_not_fit_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "_MAX_WAITING_BYTES", RECOMMEND.ByteSize() - 1)
    with logging_into(tmp_path) as (log, counts):
        offer(log)
    assert counts == {request_log.DROPPED: 1}
    assert lines(tmp_path) == []


def test_a_folder_of_another_server(tmp_path: Path) -> None:
    with (
        logging_into(tmp_path),
        pytest.raises(ServingError, match="another server"),
        logging_into(tmp_path),
    ):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ServingError, match=r"file/log.*cannot be written"),
        logging_into(tmp_path / "file" / "log"),
    ):
        pass


@pytest.fixture(scope="module")
def base_path(
    exported_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(exported_model("biased_mf"), folder / str(VERSION))
    return folder


def test_a_server_logs_what_it_answers(base_path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ServerOptions(
        "movierec", base_path, port=0, metrics_port=0, request_log=RequestLogOptions(log, 1.0)
    )
    calls: list[predict_pb2.PredictRequest] = [
        request("recommend", user_id=["u0", "u5", "x"], k=np.int32(2)),
        request("predict", user_id=["u1"], movie_id=["m0"]),
    ]
    with running(options) as server, asking(server.port) as asked:
        for call in calls:
            asked.predictions.Predict(call)
        with pytest.raises(grpc.RpcError):
            asked.predictions.Predict(request("unheard", user_id=["u1"]))
    one, two = lines(log)
    # Of ratings of each user in `exported_models.COUNTS`.
    assert [user["activity"] for user in one["users"]] == ["1-20", "201+", "unknown"]
    assert [user["activity"] for user in two["users"]] == ["21-50"]
    assert two["movies"][0]["genres"] == exported_models.GENRES[0]
    assert one["version"] == two["version"] == VERSION


def test_the_population_of_an_exported_model(base_path: Path) -> None:
    population = read_population(base_path / str(VERSION))
    assert population is not None
    activities = ["1-20", "21-50", "21-50", "51-100", "101-200", "201+"]
    assert population.user_activity == {
        id_.encode(): name for id_, name in zip(exported_models.USER_IDS, activities, strict=True)
    }
    popularity = exported_models.statistics().movie_rating_count
    assert list(population.movie_ratings.values()) == popularity.tolist()
    # Five movies: every other decile, in the order of their ratings.
    ranked = sorted(range(len(popularity)), key=lambda movie: popularity[movie])
    expected = {movie: str(1 + 2 * place) for place, movie in enumerate(ranked)}
    assert list(population.movie_decile.values()) == [expected[m] for m in range(len(popularity))]
    assert [list(names) for names in population.movie_genres.values()] == exported_models.GENRES


def test_another_saved_model_has_no_population(tmp_path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(tmp_path))
    assert read_population(tmp_path) is None
