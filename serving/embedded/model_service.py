"""TensorFlow Serving's ModelService: GetModelStatus."""

from __future__ import annotations

from typing import Final

import grpc
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2

from serving.embedded.metrics import Metrics
from serving.embedded.request_errors import invalid, unknown_status
from serving.embedded.rpc_service import parse, rpc_service
from serving.embedded.served_versions import ModelSpecs
from serving.embedded.version_watcher import VersionStates

DESCRIPTOR: Final = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]


class ModelService:
    """Answers in the event loop, so also while the model is busy."""

    def __init__(self, specs: ModelSpecs, states: VersionStates, metrics: Metrics) -> None:
        """Takes the parts of a server.

        Args:
            specs: Finds the version of a request.
            states: State of each version.
            metrics: Counts requests.
        """
        self._specs = specs
        self._states = states
        self._metrics = metrics

    def handler(self) -> grpc.GenericRpcHandler:
        """Returns the handler; HandleReloadConfigRequest is answered UNIMPLEMENTED."""
        return rpc_service(DESCRIPTOR, {"GetModelStatus": self._get_model_status}, self._metrics)

    async def _get_model_status(self, raw: bytes, *_: object) -> bytes:
        message = parse(get_model_status_pb2.GetModelStatusRequest, raw)
        if not message.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        spec = message.model_spec
        known = self._states.all()
        versions = [status.version for status in known]
        if spec.name != self._specs.model_name:
            # Like TensorFlow Serving, also where there is no name, and whatever the label.
            version = spec.version.value if spec.HasField("version") else None
            raise unknown_status(spec.name, version, self._specs.model_name, versions)
        number = self._specs.number(spec)
        found = [status for status in known if number is None or status.version == number]
        if not found:
            raise unknown_status(spec.name, number, self._specs.model_name, versions)
        return get_model_status_pb2.GetModelStatusResponse(
            model_version_status=found
        ).SerializeToString()
