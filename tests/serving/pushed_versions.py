"""Folders that look like pushed versions, and the answers of a server with them."""

from __future__ import annotations

from pathlib import Path

from tensorflow_serving.apis import get_model_status_pb2


def push(base_path: Path, *versions: int) -> Path:
    """Versions that no server could load, but all can see."""
    for version in versions:
        (base_path / str(version)).mkdir(parents=True)
        (base_path / str(version) / "saved_model.pb").touch()
    return base_path


def available(*versions: int) -> get_model_status_pb2.GetModelStatusResponse:
    """What TensorFlow Serving answers while it serves these."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for version in versions:
        response.model_version_status.add(
            version=version, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE
        )
    return response


def refused(version: int, reason: str) -> get_model_status_pb2.GetModelStatusResponse:
    """What it answers when a version does not load."""
    response = get_model_status_pb2.GetModelStatusResponse()
    state = response.model_version_status.add(
        version=version, state=get_model_status_pb2.ModelVersionStatus.END
    )
    state.status.error_message = reason
    return response
