"""ModelService: GetModelStatus."""

from __future__ import annotations

from typing import Final

import grpc
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2

from serving.embedded.metrics import Metrics
from serving.embedded.model_specs import ModelSpecs
from serving.embedded.request_error import RequestError, invalid, quoted
from serving.embedded.rpc_service import parse, rpc_service
from serving.embedded.version_states import VersionStates

DESCRIPTOR: Final = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]


class ModelService:
    """Answers at once, also while the model is busy."""

    def __init__(self, specs: ModelSpecs, states: VersionStates, metrics: Metrics) -> None:
        """Takes what knows the versions, and what counts requests."""
        self._specs = specs
        self._states = states
        self._metrics = metrics

    def handler(self) -> grpc.GenericRpcHandler:
        """Of the official service; HandleReloadConfigRequest answers UNIMPLEMENTED."""
        return rpc_service(DESCRIPTOR, {"GetModelStatus": self._get_model_status}, self._metrics)

    async def _get_model_status(self, raw: bytes, *_: object) -> bytes:
        message = parse(get_model_status_pb2.GetModelStatusRequest, raw)
        if not message.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        number = self._specs.number(message.model_spec)
        name = message.model_spec.name
        known = self._states.all() if name == self._specs.model_name else []
        asked = [status for status in known if number is None or status.version == number]
        if not asked:
            which = "any versions" if number is None else f"version {number}"
            raise RequestError(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find {which} of model {quoted(name)}; expected model "
                f"{quoted(self._specs.model_name)} and one of its versions "
                f"{', '.join(str(status.version) for status in self._states.all()) or '(none)'}",
            )
        return get_model_status_pb2.GetModelStatusResponse(
            model_version_status=asked
        ).SerializeToString()
