"""States, configuration and health, through the official stubs."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

from serving.server_options import ServerOptions
from tests.serving.asking import SECONDS, VERSION, Asked, asking, refused, running
from tests.serving.tiny_models import MODEL, push

AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


def status_request(
    name: str = MODEL, version: int | None = None, label: str | None = None
) -> get_model_status_pb2.GetModelStatusRequest:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    return request


@pytest.mark.parametrize(
    "request_", [status_request(), status_request(version=VERSION), status_request(label="stable")]
)
def test_a_version_is_available(
    asked: Asked, request_: get_model_status_pb2.GetModelStatusRequest
) -> None:
    (found,) = asked.models.GetModelStatus(request_, timeout=SECONDS).model_version_status
    assert (found.version, found.state) == (VERSION, AVAILABLE)
    assert (found.status.error_code, found.status.error_message) == (0, "")


@pytest.mark.parametrize(
    ("request_", "code", "expected"),
    [
        (status_request("other"), grpc.StatusCode.NOT_FOUND, "other"),
        # As TensorFlow Serving does, which looks for versions of a model of this name.
        (status_request(""), grpc.StatusCode.NOT_FOUND, "any versions of model"),
        (status_request("", version=VERSION), grpc.StatusCode.NOT_FOUND, f"version {VERSION}"),
        (status_request("", label="stable"), grpc.StatusCode.NOT_FOUND, "any versions"),
        (status_request(version=99), grpc.StatusCode.NOT_FOUND, "99"),
        (status_request(version=-1), grpc.StatusCode.NOT_FOUND, "-1"),
        (status_request(label="best"), grpc.StatusCode.INVALID_ARGUMENT, "best"),
        (
            get_model_status_pb2.GetModelStatusRequest(),
            grpc.StatusCode.INVALID_ARGUMENT,
            "ModelSpec",
        ),
    ],
)
def test_what_there_is_not(
    asked: Asked,
    request_: get_model_status_pb2.GetModelStatusRequest,
    code: grpc.StatusCode,
    expected: str,
) -> None:
    found, text = refused(lambda: asked.models.GetModelStatus(request_, timeout=SECONDS))
    assert found == code
    assert expected in text


def test_the_configuration_is_not_changed_from_outside(asked: Asked) -> None:
    code, text = refused(
        lambda: asked.models.HandleReloadConfigRequest(
            model_management_pb2.ReloadConfigRequest(), timeout=SECONDS
        )
    )
    assert code == grpc.StatusCode.UNIMPLEMENTED
    assert text


def test_health(asked: Asked) -> None:
    health = health_pb2_grpc.HealthStub(asked.channel)
    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    code, _ = refused(
        lambda: health.Check(health_pb2.HealthCheckRequest(service="none"), timeout=SECONDS)
    )
    assert code == grpc.StatusCode.NOT_FOUND


def test_health_of_each_service(asked: Asked) -> None:
    health = health_pb2_grpc.HealthStub(asked.channel)
    for service in ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_watcher_that_leaves_does_not_silence_the_others(
    tiny_model: Path, tmp_path: Path
) -> None:
    push(tiny_model, tmp_path, 1)
    options = ServerOptions(MODEL, tmp_path, port=0)
    with running(options) as server, asking(server.port) as asked:
        watch = health_pb2_grpc.HealthStub(asked.channel).Watch
        leaving, staying = (watch(health_pb2.HealthCheckRequest(), timeout=SECONDS) for _ in "ab")
        assert next(leaving).status == health_pb2.HealthCheckResponse.SERVING
        assert next(staying).status == health_pb2.HealthCheckResponse.SERVING
        leaving.cancel()
        with pytest.raises(grpc.RpcError):
            next(leaving)
        # The cancellation is on the server before the answer to a later call on the connection.
        health_pb2_grpc.HealthStub(asked.channel).Check(health_pb2.HealthCheckRequest())
        server.stop()
        # NOT_SERVING, and the end of the stream.
        assert [each.status for each in staying] == [health_pb2.HealthCheckResponse.NOT_SERVING]
