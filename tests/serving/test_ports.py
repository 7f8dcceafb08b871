import socket

import pytest

from serving import ports
from serving.errors import ServingError


def listening(host: str = "127.0.0.1") -> socket.socket:
    listener = socket.socket()
    listener.bind((host, 0))
    listener.listen()
    return listener


@pytest.mark.parametrize(
    ("host", "text"),
    [("127.0.0.1", "127.0.0.1:80"), ("localhost", "localhost:80"), ("::1", "[::1]:80")],
)
def test_an_ipv6_address_is_in_brackets(host: str, text: str) -> None:
    assert ports.address(host, 80) == text


def test_a_free_port_can_be_bound_and_a_given_one_stays() -> None:
    port = ports.free_port("127.0.0.1")
    assert ports.free_port("127.0.0.1", port) == port
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


def test_a_taken_port_is_refused() -> None:
    with listening() as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServingError, match=f"127.0.0.1:{port}: Address already in use"):
            ports.free_port("127.0.0.1", port)
        with pytest.raises(ServingError, match=f"0.0.0.0:{port}: Address already in use"):
            ports.free_port("0.0.0.0", port)


def test_an_address_of_another_machine_is_refused() -> None:
    # Reserved for documentation: nobody has it.
    with pytest.raises(ServingError, match=r"192\.0\.2\.1:0: Cannot assign requested address"):
        ports.free_port("192.0.2.1")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ServingError, match=r"host no\.such\.host\.invalid: "):
        ports.numeric("no.such.host.invalid")


@pytest.mark.parametrize(
    ("host", "everywhere", "reached_at"),
    [
        ("127.0.0.1", False, "127.0.0.1:80"),
        ("127.0.0.2", False, "127.0.0.2:80"),
        ("::1", False, "[::1]:80"),
        ("0.0.0.0", True, "127.0.0.1:80"),
        ("::", True, "[::1]:80"),
    ],
)
def test_every_interface_is_reached_at_the_loopback_address(
    host: str, everywhere: bool, reached_at: str
) -> None:
    assert ports.is_every_interface(host) == everywhere
    assert ports.reachable(host, 80) == reached_at
