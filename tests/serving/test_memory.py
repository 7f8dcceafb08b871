"""The memory of a server after many requests, hostile ones among them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest

from models import features, signature_names
from tests.serving.asking import SECONDS, Asked, asking, server_process
from tests.serving.tiny_models import POSITIVE, pairs, predict_request, push

CLIENTS = 4
IDS = [b"%d" % number for number in range(100)]
CUT_OFF = pairs(IDS, IDS).SerializeToString()[:-1]
METHOD = "/tensorflow.serving.PredictionService/Predict"

REQUESTS = [
    request.SerializeToString()
    for request in (
        pairs([b"1"], [b"2"]),
        pairs(IDS, IDS),
        pairs(IDS, IDS[1:]),
        pairs(IDS, IDS, name="other"),
        pairs([b"x" * 100_000], [b"2"]),
        predict_request("nothing", {}),
        predict_request(signature_names.PREDICT, {features.USER_ID: IDS}),
        predict_request(POSITIVE, {"x": np.full(10_000, -1, np.float32)}),
        predict_request(
            signature_names.RECOMMEND, {features.USER_ID: IDS, signature_names.K: np.int32(20)}
        ),
    )
] + [CUT_OFF]


def ask(asked: Asked, requests: int) -> None:
    def client(first: int) -> None:
        for number in range(first, requests, CLIENTS):
            message = REQUESTS[number % len(REQUESTS)]
            call = asked.channel.unary_unary(METHOD).future(message, timeout=SECONDS)
            assert call.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))


@pytest.mark.slow
def test_memory_stays_flat(tiny_model: Path, tmp_path: Path) -> None:
    push(tiny_model, tmp_path, 1)
    with server_process(tmp_path) as server, asking(server.port) as asked:
        ask(asked, 2_000)
        before = server.memory()
        ask(asked, 10_000)
        grown = server.memory() - before
    carried = 10_000 * sum(map(len, REQUESTS)) / len(REQUESTS)
    # Were the tenth that is the largest kept, or one in ten of all, it would be more.
    assert grown < carried / 10
