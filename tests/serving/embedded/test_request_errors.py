from __future__ import annotations

from urllib.parse import quote

import grpc
import pytest
import tensorflow as tf

from serving.embedded.request_errors import RequestError, graph_error, invalid

# What gRPC leaves as it is in a header.
PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


@pytest.mark.parametrize("text", ["", "x" * 2000, "é" * 333, "🎬" * 166, "%" * 666])
def test_what_a_header_holds_is_told_whole(text: str) -> None:
    assert str(invalid(text)) == text


@pytest.mark.parametrize("character", ["x", "%", "\n", "\x7f", "é", "\ufffd", "🎬"], ids=ascii)
def test_what_is_longer_is_cut(character: str) -> None:
    text = character * 2001
    found = str(RequestError(grpc.StatusCode.NOT_FOUND, text))
    kept = found.removesuffix("…")
    assert found != kept
    assert text.startswith(kept)
    size = len(quote(kept, safe=PLAIN, errors="replace"))
    assert 2000 - len(quote(character, safe=PLAIN, errors="replace")) < size <= 2000


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (tf.errors.InvalidArgumentError, grpc.StatusCode.INVALID_ARGUMENT),
        (tf.errors.ResourceExhaustedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (tf.errors.InternalError, grpc.StatusCode.INTERNAL),
    ],
)
def test_the_code_is_tensorflows(error: type[tf.errors.OpError], code: grpc.StatusCode) -> None:
    assert graph_error(error(None, None, "why")).code == code
