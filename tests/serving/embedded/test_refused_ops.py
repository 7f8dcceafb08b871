"""A version that does more than compute, pushed to the embedded server."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2

from models.signature_names import SERVING_DEFAULT
from serving.embedded.server import ModelServer
from serving.errors import ServingError
from serving.server_options import ServerOptions
from tests.serving.asking import SECONDS, asking, refused, running, wait_until
from tests.serving.hostile_models import HOSTILE, save, save_that_writes_when_loaded
from tests.serving.tiny_models import MODEL, predict_request

END = get_model_status_pb2.ModelVersionStatus.END


@pytest.fixture
def options(tmp_path: Path) -> ServerOptions:
    return ServerOptions(MODEL, tmp_path / "base", port=0, poll_seconds=0.01)


def test_its_initialiser_never_runs(options: ServerOptions, tmp_path: Path) -> None:
    written = tmp_path / "written"
    save_that_writes_when_loaded(options.base_path / "1795376823", written)
    with pytest.raises(ServingError, match=r"version 1795376823: .* the model holds WriteFile;"):
        ModelServer(options).start()
    assert not written.exists()
    # Proof that it would have run.
    with running(replace(options, check_ops=False)) as server:
        assert server.versions == [1795376823]
    assert written.read_text() == "here"


def test_the_version_before_goes_on_answering(options: ServerOptions, tmp_path: Path) -> None:
    save(options.base_path / "1", tf.strings.upper)
    secret = tmp_path / "secret"
    secret.write_text("of another")
    pushed = save(tmp_path / "pushed", HOSTILE["ReadFile"])
    request = predict_request(SERVING_DEFAULT, {"x": str(secret).encode()})
    with running(options) as server, asking(server.port) as asked:
        shutil.move(pushed, options.base_path / "2")
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = MODEL

        def newest() -> get_model_status_pb2.ModelVersionStatus:
            answer = asked.models.GetModelStatus(status, timeout=SECONDS)
            return answer.model_version_status[0]

        wait_until(lambda: newest().version == 2 and newest().state == END)
        assert "the model holds ReadFile;" in newest().status.error_message
        answer = asked.predictions.Predict(request, timeout=SECONDS)
        assert answer.model_spec.version.value == 1
        assert list(answer.outputs["y"].string_val) == [str(secret).upper().encode()]
        request.model_spec.version.value = 2
        code, _ = refused(lambda: asked.predictions.Predict(request, timeout=SECONDS))
        assert code == grpc.StatusCode.NOT_FOUND
