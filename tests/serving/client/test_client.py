"""Both clients against a server of the official stubs, over TCP on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import trustme

from serving.answers import (
    Explanation,
    Movie,
    RatingInterval,
    Reason,
    Recommendation,
    VersionStatus,
)
from serving.client.call_errors import (
    ClientClosedError,
    DeadlineExceededError,
    RequestRefusedError,
    ServerFailedError,
    ServerUnavailableError,
    WrongAnswerError,
)
from serving.errors import ServingError
from serving.tls import ClientTls, ServerTls
from tests.serving.clients import KINDS, connected
from tests.serving.fake_server import MOVIES, SCORES, FakeModel, State, served, tensors

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "not now")


@pytest.fixture(params=KINDS, ids=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> type[Any]:
    return request.param


@pytest.fixture
def model() -> FakeModel:
    return FakeModel(seen={"1": {"50"}}, states=[{3: (State.AVAILABLE, "")}])


@pytest.fixture
def port(model: FakeModel) -> Iterator[int]:
    with served(model) as bound:
        yield bound


@pytest.fixture
def client(kind: type[Any], port: int) -> Iterator[Any]:
    with connected(kind, port, timeout=30) as made:
        yield made


def ids(found: list[Recommendation]) -> list[str]:
    return [entry.movie_id for entry in found]


def ranked(*left_out: str) -> list[str]:
    return [movie_id for movie_id, _ in MOVIES if movie_id not in left_out]


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_predict(client: Any) -> None:
    assert client.predict(["1", "2"], ["500", "250"]) == [1.5, 2.25]
    assert client.predict([], []) == []


def test_recommend(client: Any) -> None:
    titles = dict(MOVIES)
    assert client.recommend("1", 2) == [
        Recommendation(movie_id, titles[movie_id], SCORES[movie_id])
        for movie_id in ranked("50")[:2]
    ]
    assert ids(client.recommend("1", 2, exclude={"29"})) == ranked("50", "29")[:2]
    assert ids(client.recommend("9")) == ranked()


def test_recommend_batch(client: Any) -> None:
    assert [ids(row) for row in client.recommend_batch(["1", "9"], 6)] == [ranked("50"), ranked()]
    assert client.recommend_batch([], 3) == []


def test_recommend_among(client: Any) -> None:
    assert ids(client.recommend_among("1", ["50", "246", "x"], ["Action"])) == ["181", "231", "246"]
    assert ids(client.recommend_among("2", ["246", "50"], k=1)) == ["50"]
    assert client.recommend_among("2") == []


def test_predict_interval(client: Any) -> None:
    first, second = client.predict_interval(["1", "2"], ["50", "29"])
    assert first == RatingInterval(pytest.approx(1.05), 0.5, 0.25, 1, 9)
    assert second.rating == pytest.approx(2.029)
    # Tables of the normal distribution: 90 % lie within 1.6449 standard deviations.
    assert second.bounds(0.9) == pytest.approx((2.029 - 0.82245, 2.029 + 0.82245), abs=1e-4)
    assert first.bounds(0.9) == pytest.approx((1, 1.05 + 0.82245), abs=1e-4)
    assert RatingInterval(8.5, 0.5, 0.25, 1, 9).bounds(0.9) == pytest.approx((7.67755, 9), abs=1e-4)
    assert RatingInterval(8.5, 0.5, 0.25).bounds(0.9)[1] == pytest.approx(9.32245, abs=1e-4)
    with pytest.raises(ServingError, match="level: given 1, expected a probability"):
        first.bounds(1)
    with pytest.raises(ServingError, match="2 user ids and 1 movie ids"):
        client.predict_interval(["1", "2"], ["50"])


def test_similar(client: Any) -> None:
    assert ids(client.similar("29", 3)) == ranked("29")[:3]
    assert client.similar("unknown") == []


def test_recommend_for_ratings(client: Any) -> None:
    assert ids(client.recommend_for_ratings({"50": 5, "181": 1.5}, 9)) == ranked("50", "181")
    assert ids(client.recommend_for_ratings({}, 1)) == ranked()[:1]


def test_recommend_for_profile(client: Any) -> None:
    assert ids(client.recommend_for_profile(17, "F", "student", 9)) == ranked("50")
    assert ids(client.recommend_for_profile(k=1)) == ranked()[:1]


def test_predict_new_movie(client: Any) -> None:
    assert client.predict_new_movie(["1", "2"], ["Drama", "War"], 1998) == [1.5, 2.5]
    assert client.predict_new_movie(["3"], title="Heat (1995)") == [3]
    assert client.predict_new_movie([], ["Drama"]) == []


def test_explanations(client: Any) -> None:
    reason = Reason("50", "Star Wars (1977)", 5.0, 0.25)
    expected = Explanation(score=3.75, baseline=3.0, reasons=[reason], others=0.5)
    assert client.explain_for_ratings({"50": 5}, "29", 3) == expected
    assert client.explain("nobody", "29", 3) == Explanation(3.5, 3.0, [], 0.5)


def test_movies(client: Any) -> None:
    assert client.movies(["29", "unknown", "50"]) == [
        Movie("29", "Batman Forever (1995)"),
        None,
        Movie("50", "Star Wars (1977)"),
    ]
    assert client.movies([]) == []


def test_catalogue(client: Any) -> None:
    assert client.catalogue() == [Movie(*entry) for entry in MOVIES]


def test_model_status(client: Any, model: FakeModel) -> None:
    model.states = [{2: (State.END, "gone"), 3: (State.AVAILABLE, "")}]
    assert client.model_status() == [
        VersionStatus(2, "END", "gone"),
        VersionStatus(3, "AVAILABLE", ""),
    ]


def test_one_connection_serves_all_calls(client: Any, model: FakeModel) -> None:
    for _ in range(5):
        client.recommend("1", 1)
    client.model_status()
    assert len(set(model.peers)) == 1


def test_threads_share_a_client(client: Any) -> None:
    def ask(user: int) -> list[float]:
        return [float(client.predict([str(user)], [str(movie)])[0]) for movie in range(20)]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(8)))
    expected = [[user + movie / 1000 for movie in range(20)] for user in range(8)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_unavailable_is_tried_again(client: Any, model: FakeModel) -> None:
    model.failures = [UNAVAILABLE] * 4
    assert ids(client.recommend("1", 1)) == ["29"]
    assert len(model.requests) == 5


NO_THREAD = ["", "Server Threadpool Exhausted"]


@pytest.mark.parametrize("text", NO_THREAD)
def test_a_server_whose_threads_are_busy_is_tried_again(
    client: Any, model: FakeModel, text: str
) -> None:
    """gRPC's C++ servers refuse a call with either text before they do any work for it."""
    model.failures = [(grpc.StatusCode.RESOURCE_EXHAUSTED, text)] * 4
    assert ids(client.recommend("1", 1)) == ["29"]
    assert len(model.requests) == 5


@pytest.mark.parametrize("text", NO_THREAD)
def test_threads_that_stay_busy_are_told(client: Any, model: FakeModel, text: str) -> None:
    model.failures = [(grpc.StatusCode.RESOURCE_EXHAUSTED, text)] * 9
    with pytest.raises(RequestRefusedError, match="all threads of the server are busy") as error:
        client.recommend("1", 1)
    assert error.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(model.requests) == 5


def test_busy_threads_and_one_attempt(kind: type[Any], port: int, model: FakeModel) -> None:
    model.failures = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "")]
    with (
        connected(kind, port, attempts=1) as client,
        pytest.raises(RequestRefusedError, match="threads"),
    ):
        client.recommend("1", 1)
    assert len(model.requests) == 1


def test_the_deadline_holds_for_all_attempts_at_busy_threads(
    kind: type[Any], port: int, model: FakeModel
) -> None:
    model.failures = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "")] * 9
    with (
        connected(kind, port, timeout=0.3) as client,
        pytest.raises((RequestRefusedError, DeadlineExceededError)),
    ):
        client.recommend("1", 1)
    assert 0 < len(model.requests) < 5


def test_a_request_of_a_megabyte_is_tried_again_too(client: Any, model: FakeModel) -> None:
    model.failures = [UNAVAILABLE] * 2
    pairs = 100_000
    assert client.predict(["7"] * pairs, ["500"] * pairs) == [7.5] * pairs
    assert len(model.requests) == 3
    assert model.requests[0].ByteSize() > 2**19


def test_unavailable_for_ever_is_told(client: Any, model: FakeModel) -> None:
    model.failures = [UNAVAILABLE] * 9
    with pytest.raises(ServerUnavailableError, match="not now"):
        client.recommend("1", 1)
    assert len(model.requests) == 5


def test_one_attempt(kind: type[Any], port: int, model: FakeModel) -> None:
    model.failures = [UNAVAILABLE]
    with connected(kind, port, attempts=1) as client:
        with pytest.raises(ServerUnavailableError, match="not now"):
            client.recommend("1", 1)
        assert ids(client.recommend("1", 1)) == ["29"]
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, RequestRefusedError),
        (grpc.StatusCode.NOT_FOUND, RequestRefusedError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, RequestRefusedError),
        (grpc.StatusCode.INTERNAL, ServerFailedError),
    ],
)
def test_anything_else_is_told_at_once(
    client: Any, model: FakeModel, code: grpc.StatusCode, error: type[Exception]
) -> None:
    model.failures = [(code, "expected\nint32")]
    with pytest.raises(error, match=rf"recommend \w+ \({code.name}\): expected int32"):
        client.recommend("1", 1)
    assert len(model.requests) == 1


def test_nobody_is_there(kind: type[Any]) -> None:
    port = closed_port()
    with (
        connected(kind, port) as client,
        pytest.raises(ServerUnavailableError, match=rf"^127.0.0.1:{port}: .*movierec serve"),
    ):
        client.recommend("1", 1)


def test_a_server_that_comes_back_is_found_again(kind: type[Any], model: FakeModel) -> None:
    port = closed_port()
    with connected(kind, port, timeout=30) as client:
        for _ in range(2):
            with served(model, port):
                assert ids(client.recommend("1", 1)) == ["29"]
    assert len(set(model.peers)) == 2


def test_the_deadline_holds_for_a_slow_answer(kind: type[Any], port: int, model: FakeModel) -> None:
    model.hold = threading.Event()
    with (
        connected(kind, port, timeout=0.3) as client,
        pytest.raises(DeadlineExceededError, match=r"no answer to recommend within 0.3 s"),
    ):
        client.recommend("1", 1)


def test_the_deadline_holds_for_all_attempts_together(
    kind: type[Any], port: int, model: FakeModel
) -> None:
    model.failures = [UNAVAILABLE] * 9
    with connected(kind, port, timeout=0.3) as client, pytest.raises(DeadlineExceededError):
        client.recommend("1", 1)
    assert len(model.requests) < 5


def test_a_wrong_answer(client: Any, model: FakeModel) -> None:
    model.answer = lambda request: tensors(rating=np.zeros(3, np.float32))
    with pytest.raises(WrongAnswerError, match=r"shape of rating: expected \[1\], got \[3\]"):
        client.predict(["1"], ["2"])


def test_messages_are_bounded_both_ways(kind: type[Any], port: int, model: FakeModel) -> None:
    with connected(kind, port, max_message_bytes=1000) as client:
        with pytest.raises(RequestRefusedError, match="larger than max"):
            client.predict(["1"] * 1000, ["2"] * 1000)
        assert model.requests == []
        model.answer = lambda request: tensors(rating=np.zeros(1000, np.float32))
        with pytest.raises(RequestRefusedError, match="larger than max"):
            client.predict(["1"], ["2"])


def test_several_addresses_are_asked_in_turn(kind: type[Any], model: FakeModel) -> None:
    other = FakeModel()
    with served(model) as one, served(other) as two:
        target = f"ipv4:127.0.0.1:{one},127.0.0.1:{two}"
        with connected(kind, target, timeout=30) as client:
            for _ in range(10_000):
                client.recommend("9", 1)
                if model.requests and other.requests:
                    break
            assert model.requests
            assert other.requests


def test_one_of_several_addresses_is_enough(kind: type[Any], port: int) -> None:
    target = f"ipv4:127.0.0.1:{closed_port()},127.0.0.1:{port}"
    with connected(kind, target, timeout=30) as client:
        for _ in range(5):
            assert ids(client.recommend("9", 1)) == ["50"]


def test_waits_for_the_version(kind: type[Any], port: int, model: FakeModel) -> None:
    loading = {7: (State.LOADING, "")}
    model.states = [{}, loading, loading, {6: (State.AVAILABLE, ""), 7: (State.AVAILABLE, "")}]
    model.failures = [(grpc.StatusCode.NOT_FOUND, "no such model"), UNAVAILABLE]
    with connected(kind, port, version=7, timeout=30) as client:
        client.wait_until_available(60)
    assert len(model.requests) == 6


def test_waits_for_the_version_of_a_label(kind: type[Any], port: int, model: FakeModel) -> None:
    model.labels = {"canary": 8}
    old, new = {7: (State.AVAILABLE, "")}, {8: (State.AVAILABLE, "")}
    model.states = [old, old | {8: (State.LOADING, "")}, old | new]
    with connected(kind, port, label="canary", timeout=30) as client:
        client.wait_until_available(60)
        assert len(model.requests) == 3
        assert client.model_status() == [VersionStatus(8, "AVAILABLE", "")]


def test_waits_for_the_server(kind: type[Any], model: FakeModel) -> None:
    port = closed_port()
    with connected(kind, port) as client, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.wait_until_available, 60)
        with served(model, port):
            waiting.result()
    assert model.requests


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ({}, ".*NOT_FOUND.*: could not find version 8"),
        ({7: (State.AVAILABLE, "")}, ".*NOT_FOUND.*: could not find version 8"),
        ({8: (State.END, "no variables")}, "version 8 is END no variables"),
    ],
)
def test_waits_no_longer_than_told(
    kind: type[Any], port: int, model: FakeModel, states: Any, reason: str
) -> None:
    model.states = [states]
    with (
        connected(kind, port, version=8) as client,
        pytest.raises(DeadlineExceededError, match=rf"within 0.5 s \({reason}"),
    ):
        client.wait_until_available(0.5)


def test_does_not_wait_for_what_will_not_be(client: Any, model: FakeModel) -> None:
    model.failures = [(grpc.StatusCode.UNIMPLEMENTED, "another service")]
    with pytest.raises(RequestRefusedError, match="another service"):
        client.wait_until_available(60)


def test_a_closed_client_says_so(client: Any) -> None:
    client.recommend("1", 1)
    client.close()
    client.close()
    with pytest.raises(ClientClosedError, match="the client is closed"):
        client.recommend("1", 1)


def test_closing_ends_what_is_in_flight(client: Any, model: FakeModel) -> None:
    model.hold = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.recommend, "1", 1)
        while not model.requests:
            threading.Event().wait(0.01)
        client.close()
        with pytest.raises(ClientClosedError):
            waiting.result()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "attempts: given 0, expected 1 to 5"),
        ({"attempts": 6}, "attempts: given 6"),
        ({"timeout": 0}, "timeout: given 0"),
        ({"timeout": float("inf")}, "timeout: given inf"),
        ({"timeout": float("nan")}, "timeout: given nan"),
        ({"max_message_bytes": 0}, "max_message_bytes: given 0"),
        ({"max_message_bytes": 2**31}, "max_message_bytes: given 2147483648"),
        ({"model": ""}, "name is empty"),
        ({"tls": ClientTls(Path("nowhere.pem"))}, "nowhere.pem: No such file"),
    ],
)
def test_options_out_of_bounds(kind: type[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ServingError, match=message):
        kind("127.0.0.1:1", **options)


def test_a_target_without_a_port(kind: type[Any]) -> None:
    with pytest.raises(ServingError, match="'localhost': expected HOST:PORT"):
        kind("localhost")


class Certificates:
    """Files of an authority that is trusted and of one that is not."""

    def __init__(self, folder: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        self.authority, self.stranger = folder / "authority.pem", folder / "stranger.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        stranger.cert_pem.write_to_path(str(self.stranger))
        self.server = self._pair(folder / "server", authority.issue_cert("127.0.0.1"))
        self.client = self._pair(folder / "client", authority.issue_cert("client@example.org"))
        self.forged = self._pair(folder / "forged", stranger.issue_cert("client@example.org"))

    @staticmethod
    def _pair(stem: Path, issued: trustme.LeafCert) -> tuple[Path, Path]:
        key, certificate = stem.with_suffix(".key"), stem.with_suffix(".pem")
        issued.private_key_pem.write_to_path(str(key))
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        return key, certificate


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


def test_tls(kind: type[Any], model: FakeModel, files: Certificates) -> None:
    with (
        served(model, 0, ServerTls(*files.server).credentials()) as port,
        connected(kind, port, timeout=30, tls=ClientTls(files.authority)) as client,
    ):
        assert ids(client.recommend("1", 1)) == ["29"]


def test_mutual_tls(kind: type[Any], model: FakeModel, files: Certificates) -> None:
    credentials = ServerTls(*files.server, files.authority).credentials()
    with (
        served(model, 0, credentials) as port,
        connected(kind, port, timeout=30, tls=ClientTls(files.authority, *files.client)) as client,
    ):
        assert ids(client.recommend("1", 1)) == ["29"]


@pytest.mark.parametrize(
    ("mutual", "shown"),
    [
        (False, lambda files: None),
        (False, lambda files: ClientTls(files.stranger)),
        (True, lambda files: ClientTls(files.authority)),
        (True, lambda files: ClientTls(files.authority, *files.forged)),
    ],
    ids=["in the clear", "wrong authority", "no certificate", "forged certificate"],
)
def test_without_trust_there_is_no_answer(
    kind: type[Any],
    model: FakeModel,
    files: Certificates,
    mutual: bool,
    shown: Callable[[Certificates], ClientTls | None],
) -> None:
    credentials = ServerTls(*files.server, files.authority if mutual else None).credentials()
    with (
        served(model, 0, credentials) as port,
        connected(kind, port, timeout=30, tls=shown(files)) as client,
        pytest.raises(ServerUnavailableError, match="certificate"),
    ):
        client.recommend("1", 1)
    assert model.requests == []


def test_a_server_in_the_clear_is_not_trusted(
    kind: type[Any], port: int, files: Certificates
) -> None:
    with (
        connected(kind, port, timeout=30, tls=ClientTls(files.authority)) as client,
        pytest.raises(ServerUnavailableError, match="whether the server speaks TLS"),
    ):
        client.recommend("1", 1)
