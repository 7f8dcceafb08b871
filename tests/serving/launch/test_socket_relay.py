"""Bytes and calls through the relay, with a server at the socket."""

from __future__ import annotations

import gc
import re
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from serving import ports
from serving.defaults import LOOPBACK
from serving.errors import ServingError
from serving.launch import socket_relay
from serving.launch.socket_relay import SocketRelay
from serving.launch.tensorflow_serving_command import socket_path
from tests.serving.asking import SECONDS, refused

MEBIBYTE = 1024 * 1024
# No prime factor in common with the sizes of buffers: a piece that is lost or swapped is seen.
PATTERN = bytes(range(251))
METHOD = "/relayed.Echo/Echo"


@pytest.fixture
def path() -> Iterator[Path]:
    with socket_path() as path:
        yield path


@pytest.fixture
def upstream(path: Path) -> Iterator[socket.socket]:
    """Listens to the UNIX socket."""
    with listening(path) as listener:
        yield listener


@pytest.fixture
def relay(path: Path) -> Iterator[SocketRelay]:
    with SocketRelay(LOOPBACK, 0, path) as relay:
        yield relay


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(SECONDS)
        yield listener


def connected(relay: SocketRelay, host: str = LOOPBACK) -> socket.socket:
    return socket.create_connection((host, relay.port), SECONDS)


def accepted(upstream: socket.socket) -> socket.socket:
    connection, _ = upstream.accept()
    connection.settimeout(SECONDS)
    return connection


def read(connection: socket.socket, size: int | None = None) -> bytes:
    """Reads that many bytes, or all up to the end."""
    found = bytearray()
    while size is None or len(found) < size:
        chunk = connection.recv(MEBIBYTE if size is None else size - len(found))
        if not chunk:
            break
        found += chunk
    return bytes(found)


def sent_until_stuck(connection: socket.socket, data: bytes) -> int:
    """How many bytes were taken; fails if all were."""
    sent = 0
    connection.settimeout(0.3)
    try:
        while sent < len(data):
            sent += connection.send(data[sent : sent + MEBIBYTE])
    except TimeoutError:
        return sent
    pytest.fail("nothing holds it up")


def is_over(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def large(mebibytes: int) -> bytes:
    return (PATTERN * (mebibytes * MEBIBYTE // len(PATTERN) + 1))[: mebibytes * MEBIBYTE]


def test_bytes_go_both_ways(relay: SocketRelay, upstream: socket.socket) -> None:
    with connected(relay) as client, accepted(upstream) as server:
        for question, answer in ((b"\x00\xff", b"one"), (b"more", b"\r\n")):
            client.sendall(question)
            assert read(server, len(question)) == question
            server.sendall(answer)
            assert read(client, len(answer)) == answer


def test_megabytes_cross_on_one_connection(relay: SocketRelay, upstream: socket.socket) -> None:
    up, down = large(8), large(5)[::-1]
    with (
        connected(relay) as client,
        accepted(upstream) as server,
        ThreadPoolExecutor(2) as senders,
        ThreadPoolExecutor(2) as readers,
    ):
        senders.submit(client.sendall, up)
        senders.submit(server.sendall, down)
        received = [readers.submit(read, server, len(up)), readers.submit(read, client, len(down))]
        assert received[0].result() == up
        assert received[1].result() == down


@pytest.mark.parametrize("from_client", [True, False])
def test_who_does_not_read_holds_up_who_sends(
    relay: SocketRelay, upstream: socket.socket, from_client: bool
) -> None:
    with connected(relay) as client, accepted(upstream) as server:
        sender, reader = (client, server) if from_client else (server, client)
        # More than all the buffers of the way.
        data = large(64)
        sent = sent_until_stuck(sender, data)
        # What was taken is not lost.
        sender.shutdown(socket.SHUT_WR)
        assert read(reader) == data[:sent]


@pytest.mark.parametrize("from_client", [True, False])
def test_a_side_that_has_said_all_still_hears(
    relay: SocketRelay, upstream: socket.socket, from_client: bool
) -> None:
    with connected(relay) as client, accepted(upstream) as server:
        first, second = (client, server) if from_client else (server, client)
        for sender, reader, said in ((first, second, b"greeting"), (second, first, b"farewell")):
            sender.sendall(said)
            sender.shutdown(socket.SHUT_WR)
            assert read(reader) == said


def test_what_was_sent_before_a_close_arrives(
    path: Path, upstream: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_small_buffer(host: str, port: int, bind: Any = ports.listener) -> Any:
        listener = bind(host, port)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return listener

    # What the system does not take, the relay still has when it has read all.
    monkeypatch.setattr(ports, "listener", with_small_buffer)
    with SocketRelay(LOOPBACK, 0, path) as relay, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(SECONDS)
        client.connect((LOOPBACK, relay.port))
        server = accepted(upstream)
        client.shutdown(socket.SHUT_WR)
        assert read(server) == b""
        data = large(64)
        sent = sent_until_stuck(server, data)
        server.close()
        assert read(client) == data[:sent]


def test_a_half_closed_connection_is_not_collected(
    relay: SocketRelay, upstream: socket.socket
) -> None:
    with connected(relay) as client, accepted(upstream) as server:
        client.shutdown(socket.SHUT_WR)
        assert read(server) == b""
        gc.collect()
        server.sendall(b"still there")
        assert read(client, 11) == b"still there"


def test_a_connection_without_a_server_is_closed_at_once(relay: SocketRelay, path: Path) -> None:
    with connected(relay) as early:
        assert is_over(early)
    with listening(path) as upstream, connected(relay) as client, accepted(upstream) as server:
        client.sendall(b"now")
        assert read(server, 3) == b"now"
    # The socket is still a file, to which nobody listens.
    assert path.is_socket()
    with connected(relay) as late:
        assert is_over(late)


def test_a_reset_ends_the_other_side_without_a_word(
    path: Path, upstream: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with SocketRelay(LOOPBACK, 0, path) as relay:
        client = connected(relay)
        with accepted(upstream) as server:
            client.sendall(b"x")
            assert read(server, 1) == b"x"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            assert is_over(server)
        with connected(relay) as client:
            server = accepted(upstream)
            client.sendall(b"unread")
            server.recv(1)
            # What has not been read makes a reset of it.
            server.close()
            assert is_over(client)
        with connected(relay) as client, accepted(upstream) as server:
            client.sendall(b"others go on")
            assert read(server, 12) == b"others go on"
    # A task whose error nobody has seen says so when it is collected.
    gc.collect()
    assert caplog.records == []


def test_connections_at_once_are_kept_apart(relay: SocketRelay, upstream: socket.socket) -> None:
    with ExitStack() as ended:
        clients = [ended.enter_context(connected(relay)) for _ in range(100)]
        servers = [ended.enter_context(accepted(upstream)) for _ in clients]
        for number, client in enumerate(clients):
            client.sendall(bytes([number]))
        for server in servers:
            server.sendall(read(server, 1) * 3)
        assert [read(client, 3) for client in clients] == [bytes([n] * 3) for n in range(100)]


def test_its_end_closes_everything(path: Path, upstream: socket.socket) -> None:
    with ExitStack() as ended:
        with SocketRelay(LOOPBACK, 0, path) as relay:
            idle = ended.enter_context(connected(relay))
            peers = [ended.enter_context(accepted(upstream))]
            # It holds some of what nobody reads.
            stuck = ended.enter_context(connected(relay))
            peers.append(ended.enter_context(accepted(upstream)))
            sent_until_stuck(stuck, large(64))
            assert [t.name for t in threading.enumerate()].count(socket_relay._NAME) == 1
        assert socket_relay._NAME not in [thread.name for thread in threading.enumerate()]
        assert is_over(idle)
        for peer in peers:
            assert len(read(peer)) < 64 * MEBIBYTE
        with pytest.raises(ConnectionRefusedError):
            connected(relay)


def test_a_taken_port_is_refused_in_one_line(relay: SocketRelay, path: Path) -> None:
    with pytest.raises(ServingError) as error, SocketRelay(LOOPBACK, relay.port, path):
        pass
    assert str(error.value) == (
        f"127.0.0.1:{relay.port}: Address already in use; choose another port or host"
    )


def test_an_address_of_another_machine_is_refused(path: Path) -> None:
    # Reserved for documentation: nobody has it.
    with (
        pytest.raises(ServingError, match=r"^192\.0\.2\.1:0: Cannot assign requested address; "),
        SocketRelay("192.0.2.1", 0, path),
    ):
        pass


def test_the_port_can_be_bound_again(path: Path, upstream: socket.socket) -> None:
    with SocketRelay(LOOPBACK, 0, path) as first, connected(first), accepted(upstream):
        pass
    with SocketRelay(LOOPBACK, first.port, path) as second:
        assert second.port == first.port


@pytest.mark.parametrize("host", ["localhost", "::1"])
def test_a_name_or_an_ipv6_address(path: Path, upstream: socket.socket, host: str) -> None:
    try:
        ports.free_port(host)
    except ServingError:
        pytest.skip(f"this machine has no {host}")
    with (
        SocketRelay(host, 0, path) as relay,
        connected(relay, host) as client,
        accepted(upstream) as server,
    ):
        client.sendall(b"x")
        assert read(server, 1) == b"x"


@contextmanager
def echoing(path: Path, credentials: grpc.ServerCredentials | None = None) -> Iterator[None]:
    """A gRPC server at the socket, which answers what it is sent."""
    handler = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    service, method = METHOD[1:].split("/")
    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads, options=[("grpc.max_receive_message_length", -1)])
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {method: handler})]
        )
        if credentials is None:
            server.add_insecure_port(f"unix:{path}")
        else:
            server.add_secure_port(f"unix:{path}", credentials)
        server.start()
        try:
            yield
        finally:
            server.stop(None).wait()


OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 50),
]


def test_grpc_through_it(relay: SocketRelay, path: Path) -> None:
    message = large(6)
    with (
        echoing(path),
        grpc.insecure_channel(f"{LOOPBACK}:{relay.port}", OPTIONS) as channel,
        ThreadPoolExecutor(8) as callers,
    ):
        echo = channel.unary_unary(METHOD)
        assert echo(message, timeout=SECONDS) == message
        sent = [b"%d" % number for number in range(200)]
        assert list(callers.map(lambda each: echo(each, timeout=SECONDS), sent)) == sent


def test_a_grpc_client_is_told_unavailable_until_there_is_a_server(
    relay: SocketRelay, path: Path
) -> None:
    with grpc.insecure_channel(f"{LOOPBACK}:{relay.port}", OPTIONS) as channel:
        echo = channel.unary_unary(METHOD)
        for _ in range(2):
            code, _ = refused(lambda: echo(b"early", timeout=SECONDS))
            assert code == grpc.StatusCode.UNAVAILABLE
            with echoing(path):
                assert echo(b"late", timeout=SECONDS, wait_for_ready=True) == b"late"


def test_tls_is_between_the_client_and_the_server(relay: SocketRelay, path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    issued = authority.issue_cert(LOOPBACK)
    ours = authority.issue_cert("client")
    theirs = stranger.issue_cert("client")
    mutual = grpc.ssl_server_credentials(
        [(issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())],
        authority.cert_pem.bytes(),
        require_client_auth=True,
    )
    with echoing(path, mutual):
        for client, let_in in ((ours, True), (theirs, False)):
            credentials = grpc.ssl_channel_credentials(
                authority.cert_pem.bytes(),
                client.private_key_pem.bytes(),
                client.cert_chain_pems[0].bytes(),
            )
            target = f"{LOOPBACK}:{relay.port}"
            with grpc.secure_channel(target, credentials, OPTIONS) as channel:
                echo = channel.unary_unary(METHOD)
                if let_in:
                    assert echo(b"secret", timeout=SECONDS) == b"secret"
                else:
                    code, _ = refused(lambda: echo(b"secret", timeout=SECONDS))  # noqa: B023
                    assert code == grpc.StatusCode.UNAVAILABLE


def test_a_connection_whose_client_is_gone_is_noticed(
    relay: SocketRelay, upstream: socket.socket
) -> None:
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("the system tells no timers")
    with connected(relay) as client, accepted(upstream):
        near, far = relay.port, client.getsockname()[1]
        row = re.compile(rf": 0100007F:{near:04X} 0100007F:{far:04X} \S+ \S+ (\S\S):")
        # The timer of a connection that is kept alive is the second kind.
        assert row.findall(table.read_text()) == ["02"]
