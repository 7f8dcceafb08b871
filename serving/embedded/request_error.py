"""A request that is not answered, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import grpc

from serving.errors import ServingError

# The text travels in a header, and peers refuse headers of more than 8 kB, some of them at random.
_MAX_HEADER_BYTES: Final = 2000
# Of a byte that is percent-encoded there.
_ENCODED_BYTES: Final = 3
_MAX_NAME: Final = 60
_MAX_NAMES: Final = 10


class RequestError(ServingError):
    """What the caller is told: a gRPC status code and a line of text."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        """Shortens the text to what a header holds."""
        super().__init__(_shortened(text))
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


def _shortened(text: str) -> str:
    """The text, or the longest beginning of it that a header holds."""
    size = 0
    for place, character in enumerate(text):
        size += _header_bytes(character)
        if size > _MAX_HEADER_BYTES:
            return f"{text[:place]}…"
    return text


def _header_bytes(character: str) -> int:
    """What gRPC makes of it: all but printable ASCII is percent-encoded, and so is %."""
    if " " <= character <= "~" and character != "%":
        return 1
    return _ENCODED_BYTES * len(character.encode(errors="replace"))
