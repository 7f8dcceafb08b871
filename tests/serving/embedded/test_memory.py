"""The memory of a server after many requests, hostile ones among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message

from models import features, signature_names
from tests.serving.asking import SECONDS, Asked, ServerProcess, asking, server_process
from tests.serving.tiny_models import POSITIVE, SLOW, pairs, predict_request, push

CLIENTS = 4
IDS = [b"%d" % number for number in range(100)]
METHOD = "/tensorflow.serving.PredictionService/Predict"
OK = grpc.StatusCode.OK
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
# Less than 10,000 small messages, and than one in ten of 1,000 large ones. A third of it is what
# TensorFlow itself keeps: one to three kB of each call that its graph refuses.
MAX_GROWTH = 4_000_000


@dataclass(frozen=True)
class Sent:
    """A request, how it is sent, and what may come of it."""

    messages: tuple[bytes, ...]
    codes: frozenset[grpc.StatusCode]
    timeout: float = SECONDS
    cancelled: bool = False

    def code(self, asked: Asked) -> grpc.StatusCode:
        call = asked.channel.stream_unary(METHOD).future(iter(self.messages), timeout=self.timeout)
        if self.cancelled:
            call.cancel()
        found: grpc.StatusCode = call.code()
        return found


def sent(request: Message, *codes: grpc.StatusCode, **how: float) -> Sent:
    return Sent((request.SerializeToString(),), frozenset(codes), **how)


SLOWER = predict_request(SLOW, {"seconds": np.float64(0.01)})
SMALL = [
    sent(pairs([b"1"], [b"2"]), OK),
    sent(pairs(IDS, IDS), OK),
    sent(pairs(IDS, IDS[1:]), INVALID_ARGUMENT),
    sent(pairs(IDS, IDS, name="other"), grpc.StatusCode.NOT_FOUND),
    sent(predict_request("nothing", {}), grpc.StatusCode.FAILED_PRECONDITION),
    sent(
        predict_request(signature_names.PREDICT, {features.USER_ID: IDS}),
        INVALID_ARGUMENT,
    ),
    sent(
        predict_request(
            signature_names.RECOMMEND, {features.USER_ID: IDS, signature_names.K: np.int32(20)}
        ),
        OK,
    ),
    Sent((pairs(IDS, IDS).SerializeToString()[:-1],), frozenset({INVALID_ARGUMENT})),
    Sent((), frozenset({grpc.StatusCode.INTERNAL})),
    # One that has its answer before may keep it.
    sent(pairs(IDS, IDS), OK, grpc.StatusCode.CANCELLED, cancelled=True),
    sent(SLOWER, OK, grpc.StatusCode.DEADLINE_EXCEEDED, timeout=0.003),
]
LARGE = [
    sent(pairs([b"x" * 100_000], [b"2"]), OK),
    sent(predict_request(POSITIVE, {"x": np.full(10_000, -1, np.float32)}), INVALID_ARGUMENT),
]


def ask(port: int, requests: Sequence[Sent], count: int) -> set[grpc.StatusCode]:
    """The codes that came."""

    def client(first: int) -> Iterator[grpc.StatusCode]:
        for number in range(first, count, CLIENTS):
            request = requests[number % len(requests)]
            code = request.code(asked)
            assert code in request.codes, (request.messages[:1], code)
            yield code

    # A connection that is closed takes its own memory with it.
    with asking(port) as asked, ThreadPoolExecutor(CLIENTS) as pool:
        return set().union(*pool.map(lambda first: set(client(first)), range(CLIENTS)))


def growth(server: ServerProcess, requests: Sequence[Sent], warm_up: int, count: int) -> int:
    """Bytes by which the server is larger after so many requests more."""
    expected = set().union(*(request.codes for request in requests))
    ask(server.port, requests, warm_up)
    before = server.memory()
    assert ask(server.port, requests, count) == expected
    return server.memory() - before


@pytest.mark.slow
def test_memory_stays_flat(tiny_model: Path, tmp_path: Path) -> None:
    push(tiny_model, tmp_path, 1)
    with server_process(tmp_path) as server:
        assert growth(server, SMALL, warm_up=4_000, count=10_000) < MAX_GROWTH
        assert growth(server, LARGE, warm_up=500, count=1_000) < MAX_GROWTH
