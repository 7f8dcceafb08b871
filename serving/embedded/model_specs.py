"""Which version a request means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
from tensorflow_serving.apis import model_pb2

from serving.embedded.loaded_version import LoadedVersion
from serving.embedded.request_error import RequestError, invalid, listed, quoted
from serving.embedded.served_versions import ServedVersions


class ModelSpecs:
    """Finds versions by name, number and label, with TensorFlow Serving's status codes."""

    def __init__(self, model_name: str, labels: Mapping[str, int], served: ServedVersions) -> None:
        """Takes the one model's name, its labels and its versions."""
        self.model_name = model_name
        self._labels = labels
        self._served = served

    def number(self, spec: model_pb2.ModelSpec) -> int | None:
        """The version's number, None if the request names none.

        Raises:
            RequestError: INVALID_ARGUMENT; the model has no name, or the label is unknown.
        """
        if not spec.name:
            raise invalid(f"ModelSpec has no name: expected {quoted(self.model_name)}")
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            return None
        if choice == "version":
            return spec.version.value
        known = self._labels if spec.name == self.model_name else {}
        if spec.version_label not in known:
            raise invalid(
                f"Unrecognized servable version label: {quoted(spec.version_label)}; expected one "
                f"of {listed(known)}"
            )
        return known[spec.version_label]

    def newest(self) -> int | None:
        """The number of the version meant where none is named; None if none is loaded."""
        return self._served.newest()

    @contextmanager
    def lease(self, spec: model_pb2.ModelSpec) -> Iterator[LoadedVersion]:
        """The version, which stays loaded meanwhile.

        Raises:
            RequestError: as `number`, and NOT_FOUND: the model is another, or the version is not
                loaded.
        """
        number = self.number(spec)
        if spec.name != self.model_name:
            raise RequestError(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: {_request(spec.name, number)}; expected model "
                f"{quoted(self.model_name)}",
            )
        with self._served.lease(number) as version:
            if version is None:
                loaded = ", ".join(map(str, sorted(self._served.numbers()))) or "none"
                raise RequestError(
                    grpc.StatusCode.NOT_FOUND,
                    f"Servable not found for request: {_request(spec.name, number)}; versions "
                    f"loaded: {loaded}",
                )
            yield version


def _request(name: str, number: int | None) -> str:
    return f"Latest({quoted(name)})" if number is None else f"Specific({quoted(name)}, {number})"
