"""One running server for all tests that do not change it, and stubs to query it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorflow_serving.apis import predict_pb2

from serving.embedded.loaded_version import LoadedVersion
from serving.embedded.server import ModelServer
from serving.server_options import ServerOptions
from tests.serving import tiny_models
from tests.serving.asking import SECONDS, VERSION, Asked, Calls, asking, running


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel to copy; its bias is 0."""
    folder = tmp_path_factory.mktemp("tiny_model") / "model"
    tiny_models.save(folder)
    return folder


@pytest.fixture(scope="session")
def biased_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another, whose bias is 100."""
    folder = tmp_path_factory.mktemp("biased_model") / "model"
    tiny_models.save(folder, bias=100)
    return folder


@pytest.fixture(scope="session")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """For everybody: leave it as it was."""
    base_path = tmp_path_factory.mktemp("served")
    tiny_models.push(tiny_model, base_path, VERSION)
    with running(
        ServerOptions(
            tiny_models.MODEL,
            base_path,
            port=0,
            version_labels={"stable": VERSION, "gone": VERSION + 1},
        )
    ) as started:
        yield started


@pytest.fixture(scope="session")
def asked(server: ModelServer) -> Iterator[Asked]:
    with asking(server.port) as asked:
        yield asked


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The calls of models by the servers of this process; each may be kept from returning."""
    calls = Calls()
    predict = LoadedVersion.predict

    def watched(
        self: LoadedVersion, request: predict_pb2.PredictRequest, timeout_seconds: float | None
    ) -> predict_pb2.PredictResponse:
        signature = request.model_spec.signature_name
        calls.signatures.append(signature)
        calls.threads.append(threading.current_thread().name)
        if signature in calls.hold:
            calls.hold[signature].wait(SECONDS)
        return predict(self, request, timeout_seconds)

    monkeypatch.setattr(LoadedVersion, "predict", watched)
    return calls
