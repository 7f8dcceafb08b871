"""A request that is not answered, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import grpc

from serving.errors import ServingError

# The text travels in a header: a peer refuses longer ones.
_MAX_TEXT: Final = 1000
_MAX_NAME: Final = 60
_MAX_NAMES: Final = 10


class RequestError(ServingError):
    """What the caller is told: a gRPC status code and a line of text."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        """Shortens the text to what a header holds."""
        super().__init__(text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…")
        self.code = code


def invalid(text: str) -> RequestError:
    """The request itself is at fault."""
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, text)


def quoted(name: str) -> str:
    """A name from a request, in quotes and not longer than a line."""
    return f'"{name}"' if len(name) <= _MAX_NAME else f'"{name[:_MAX_NAME]}…"'


def listed(names: Iterable[str]) -> str:
    """Names in quotes and in order, the first few of them."""
    ordered = sorted(names)
    shown = [quoted(name) for name in ordered[:_MAX_NAMES]]
    more = [f"{len(ordered) - _MAX_NAMES} more"] if len(ordered) > _MAX_NAMES else []
    return ", ".join(shown + more) or "none"
