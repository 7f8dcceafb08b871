"""The gRPC errors that a request is answered with: their status codes and their texts."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError

from serving.errors import ServingError, UnreadableModelError
from serving.saved_model import error_reason

# The text travels in a header. Peers refuse headers of more than 8 kB, some of them at random.
_MAX_HEADER_BYTES: Final = 2000
# Size of a percent-encoded byte in a header.
_ENCODED_BYTES: Final = 3
_MAX_NAME: Final = 60
_MAX_NAMES: Final = 10
_LOAD_ERROR_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (DecodeError, tf.errors.DATA_LOSS),
    (FileNotFoundError, tf.errors.NOT_FOUND),
    (PermissionError, tf.errors.PERMISSION_DENIED),
    (MemoryError, tf.errors.RESOURCE_EXHAUSTED),
)
# An absolute path of several parts.
_PATH: Final = re.compile(r"(?:file://|(?<![\w/.]))(?:/[^\s/:;,'\"()\[\]{}<>|]+){2,}/?")
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class RequestError(ServingError):
    """A request is not answered; the caller gets a gRPC status code and a line of text."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        """Cuts the text to the size of a header."""
        super().__init__(_shortened(text))
        self.code = code


def invalid(text: str) -> RequestError:
    """Returns the error of a request that is itself at fault."""
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, text)


def unknown_model(name: str, version: int | None, expected: str) -> RequestError:
    """Returns the error of a request to a model that the server does not have.

    Args:
        name: Name in the request.
        version: Version in the request, if any.
        expected: Name of the server's model.
    """
    return RequestError(
        grpc.StatusCode.NOT_FOUND,
        f"Servable not found for request: {_servable(name, version)}; expected model "
        f"{quoted(expected)}",
    )


def unknown_version(name: str, version: int | None, loaded: Iterable[int]) -> RequestError:
    """Returns the error of a request to a version that is not loaded.

    Args:
        name: Name of the model.
        version: Version in the request; None for the newest.
        loaded: Versions that are loaded.
    """
    numbers = ", ".join(map(str, sorted(loaded))) or "none"
    return RequestError(
        grpc.StatusCode.NOT_FOUND,
        f"Servable not found for request: {_servable(name, version)}; versions loaded: {numbers}",
    )


def unknown_status(
    name: str, version: int | None, expected: str, known: Collection[int]
) -> RequestError:
    """Returns the error of a request for the status of a model or version that is not known.

    Args:
        name: Name in the request.
        version: Version in the request, if any.
        expected: Name of the server's model.
        known: Versions of that model, newest first.
    """
    which = "any versions" if version is None else f"version {version}"
    return RequestError(
        grpc.StatusCode.NOT_FOUND,
        f"Could not find {which} of model {quoted(name)}; expected model {quoted(expected)} and "
        f"one of its versions {', '.join(map(str, known)) or '(none)'}",
    )


def unknown_label(label: str, known: Iterable[str]) -> RequestError:
    """Returns the error of a request by a label that no version has."""
    return invalid(
        f"Unrecognized servable version label: {quoted(label)}; expected one of {listed(known)}"
    )


def unknown_signature(name: str, known: Iterable[str]) -> RequestError:
    """Returns the error of a request to a signature that the version does not have."""
    return RequestError(
        grpc.StatusCode.FAILED_PRECONDITION,
        f"Serving signature key {quoted(name)} not found. Expected one of {listed(known)}.",
    )


def graph_error(error: tf.errors.OpError) -> RequestError:
    """Returns the error of a request that the model's graph refuses, with TensorFlow's code."""
    code = _CODES.get(error.error_code, grpc.StatusCode.UNKNOWN)
    return RequestError(code, public_text(error_reason(str(error))))


def load_error_code(error: BaseException) -> int:
    """Returns the status code of a version that was not loaded, as TensorFlow Serving has it.

    It is that of the first cause that has one. A model without such a cause is itself at fault,
    and other errors are of an unknown kind.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RequestError):
            return int(cause.code.value[0])
        if isinstance(cause, tf.errors.OpError):
            return int(cause.error_code)
        for kind, code in _LOAD_ERROR_CODES:
            if isinstance(cause, kind):
                return code
        cause = cause.__cause__
    unreadable = isinstance(error, UnreadableModelError)
    return int(tf.errors.INVALID_ARGUMENT if unreadable else tf.errors.UNKNOWN)


def public_text(text: str, base_path: Path | None = None) -> str:
    """Returns a text for clients, who must not learn where files are on the server's machine.

    Args:
        text: Text that may have absolute paths; only their last parts are kept.
        base_path: Folder of the model's versions, whose name may have spaces; paths in it become
            relative to it.
    """
    for known in () if base_path is None else (base_path.absolute(), base_path.resolve()):
        text = text.replace(f"{known}{os.sep}", "")
    return _PATH.sub(lambda path: path[0].rstrip("/").rpartition("/")[2], text)


def quoted(name: str) -> str:
    """Returns a name from a request in quotes, cut to 60 characters."""
    return f'"{name}"' if len(name) <= _MAX_NAME else f'"{name[:_MAX_NAME]}…"'


def listed(names: Iterable[str]) -> str:
    """Returns the first names in alphabetical order, in quotes."""
    ordered = sorted(names)
    shown = [quoted(name) for name in ordered[:_MAX_NAMES]]
    more = [f"{len(ordered) - _MAX_NAMES} more"] if len(ordered) > _MAX_NAMES else []
    return ", ".join(shown + more) or "none"


def _servable(name: str, version: int | None) -> str:
    """Returns a model and version as TensorFlow Serving prints them."""
    return f"Latest({quoted(name)})" if version is None else f"Specific({quoted(name)}, {version})"


def _shortened(text: str) -> str:
    """Returns the text, or as much of its beginning as a header holds."""
    size = 0
    for place, character in enumerate(text):
        size += _header_bytes(character)
        if size > _MAX_HEADER_BYTES:
            return f"{text[:place]}…"
    return text


def _header_bytes(character: str) -> int:
    """Returns the size of a character after gRPC's percent-encoding."""
    if " " <= character <= "~" and character != "%":
        return 1
    return _ENCODED_BYTES * len(character.encode(errors="replace"))
