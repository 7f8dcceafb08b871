from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from models.export.warm_up import MAX_WARM_UP_REQUESTS, WARM_UP_FILE
from serving.embedded import loaded_version
from serving.embedded.loaded_version import LoadedVersion
from serving.errors import UnreadableModelError
from serving.saved_model import load_saved_model

MAX_BYTES = 1 << 20


class Echo(tf.Module):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def positive(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        tf.debugging.assert_positive(x, "x: expected positive numbers")
        return {"x": x, "asked": self.asked.assign_add(1)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("echo") / "1"
    tf.saved_model.save(Echo(), str(folder))
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "1"))


def request(x: list[float], signature: str = "") -> predict_pb2.PredictRequest:
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = "another name"
    asked.model_spec.signature_name = signature
    asked.inputs["x"].CopyFrom(tf.make_tensor_proto(x, tf.float32))
    return asked


def predict_log(asked: predict_pb2.PredictRequest) -> bytes:
    log = prediction_log_pb2.PredictLog(request=asked)
    return prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString()


def write(folder: Path, records: list[bytes]) -> Path:
    path = folder / WARM_UP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def asked_before(version: LoadedVersion) -> int:
    """Predictions so far; asks once itself."""
    answer = version.predict(request([1]), timeout_seconds=None)
    return int(tf.make_ndarray(answer.outputs["asked"])) - 1


def test_a_version_without_a_file(folder: Path) -> None:
    assert LoadedVersion(1, folder, MAX_BYTES).warm_up(folder) == 0


def test_each_predict_log_is_asked_and_others_are_not(folder: Path) -> None:
    other = prediction_log_pb2.PredictionLog()
    other.classify_log.SetInParent()
    write(
        folder,
        [
            predict_log(request([1])),
            other.SerializeToString(),
            predict_log(request([2], "serving_default")),
        ],
    )
    version = LoadedVersion(1, folder, MAX_BYTES)
    assert version.warm_up(folder) == 2
    assert asked_before(version) == 2


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (request([-1]), "x: expected positive numbers"),
        (request([1], "another"), '"another" not found'),
        (predict_pb2.PredictRequest(), "missing"),
    ],
)
def test_a_request_that_fails_is_named(
    folder: Path, asked: predict_pb2.PredictRequest, named: str
) -> None:
    path = write(folder, [predict_log(request([1])), predict_log(asked)])
    with pytest.raises(UnreadableModelError, match=named) as refused:
        LoadedVersion(1, folder, MAX_BYTES).warm_up(folder)
    assert f"{path}: warm-up request 2: " in str(refused.value)


def test_no_prediction_log(folder: Path) -> None:
    write(folder, [predict_log(request([1])), b"\xff\xff"])
    with pytest.raises(UnreadableModelError, match="record 2: expected a PredictionLog"):
        LoadedVersion(1, folder, MAX_BYTES).warm_up(folder)


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(content)


def cut_off_in_a_record(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def cut_off_after_a_length(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\1\0\0")


@pytest.mark.parametrize("damage", [damaged, cut_off_in_a_record, cut_off_after_a_length])
def test_a_damaged_file(folder: Path, damage: object) -> None:
    path = write(folder, [predict_log(request([1]))] * 2)
    assert callable(damage)
    damage(path)
    with pytest.raises(UnreadableModelError, match=r"record [23]: ") as refused:
        LoadedVersion(1, folder, MAX_BYTES).warm_up(folder)
    assert "\n" not in str(refused.value)
    assert "{{" not in str(refused.value)


def test_a_file_that_is_removed_while_it_is_replayed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder, [predict_log(request([1]))])
    version = LoadedVersion(1, folder, MAX_BYTES)
    predict = version.predict

    def removing(*arguments: Any, **options: Any) -> Any:
        path.unlink()
        return predict(*arguments, **options)

    monkeypatch.setattr(version, "predict", removing)
    with pytest.raises(UnreadableModelError, match=f"{path}: No such file or directory"):
        version.warm_up(folder)


def changed(path: Path) -> None:
    path.write_bytes(b"\xff")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("change", [Path.unlink, changed, emptied])
def test_a_version_that_changes_while_it_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    def changing(loaded: Path) -> object:
        found = load_saved_model(loaded)
        change(loaded / "saved_model.pb")
        return found

    monkeypatch.setattr(loaded_version, "load_saved_model", changing)
    with pytest.raises(UnreadableModelError, match=r"saved_model\.pb: changed or removed"):
        LoadedVersion(1, folder, MAX_BYTES)


def test_more_than_may_be(folder: Path) -> None:
    write(folder, [predict_log(request([1]))] * (MAX_WARM_UP_REQUESTS + 1))
    with pytest.raises(UnreadableModelError, match=f"at most {MAX_WARM_UP_REQUESTS}"):
        LoadedVersion(1, folder, MAX_BYTES).warm_up(folder)
