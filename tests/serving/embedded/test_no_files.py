"""A loaded model that needs no file: its folder is gone, and every signature answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from models.export.sample_requests import predict_request
from serving.embedded.loaded_version import LoadedVersion
from serving.server_options import ServerOptions
from tests.models.export.exported_models import (
    arrays,
    bytes_read,
    counter_size,
    signature_names,
)
from tests.serving.asking import SECONDS, asking, running
from tests.serving.tiny_models import MODEL

MAX_BYTES = 1_000_000


def assert_same(found: predict_pb2.PredictResponse, expected: predict_pb2.PredictResponse) -> None:
    assert found.outputs.keys() == expected.outputs.keys() != set()
    for name, value in expected.outputs.items():
        np.testing.assert_array_equal(tf.make_ndarray(found.outputs[name]), tf.make_ndarray(value))


@pytest.mark.parametrize("name", ["biased_mf", "two_tower"])
def test_every_signature_answers_once_the_folder_is_gone(
    exported_model: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    base_path = tmp_path / "base"
    shutil.copytree(exported_model(name), base_path / "1")
    signatures = signature_names(base_path / "1")
    requests = [predict_request(MODEL, each, arrays(each)) for each in signatures]
    options = ServerOptions(MODEL, base_path, port=0, poll_seconds=0.01)
    with running(options) as server, asking(server.port) as asked:
        before = [asked.predictions.Predict(each, timeout=SECONDS) for each in requests]
        shutil.rmtree(base_path)
        for request, expected in zip(requests, before, strict=True):
            assert_same(asked.predictions.Predict(request, timeout=SECONDS), expected)


def test_a_call_reads_nothing(exported_model: Callable[[str], Path], tmp_path: Path) -> None:
    """Without the connection, whose own reads are counted too."""
    shutil.copytree(exported_model("biased_mf"), tmp_path / "1")
    signatures = signature_names(tmp_path / "1")
    version = LoadedVersion(1, tmp_path / "1", MAX_BYTES)
    shutil.rmtree(tmp_path / "1")
    for signature in signatures:
        request = predict_request(MODEL, signature, arrays(signature))
        start = bytes_read()
        response = version.predict(request, timeout_seconds=None)
        assert bytes_read() - start <= counter_size() + 1
        assert response.outputs
    version.close()
