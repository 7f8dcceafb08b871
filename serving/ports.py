"""Hosts and ports of this machine: addresses to bind, free ports, addresses to reach a server."""

from __future__ import annotations

import ipaddress
import socket

from serving.defaults import LOOPBACK
from serving.errors import ServingError

_LOOPBACK_V6 = "::1"


def address(host: str, port: int) -> str:
    """Returns `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def numeric(host: str) -> str:
    """Returns the first IP address of a name, or an IP address as it is.

    Raises:
        ServingError: This machine cannot resolve the name.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ServingError(
            f"host {host}: {error.strerror}; expected a name or an IP address of this machine"
        ) from error
    return str(found[0][4][0])


def is_every_interface(host: str) -> bool:
    """Returns whether a server bound to this host listens on every network interface."""
    return ipaddress.ip_address(numeric(host)).is_unspecified


def is_loopback(host: str) -> bool:
    """Returns whether a server bound to this host is reached from this machine alone."""
    return ipaddress.ip_address(numeric(host)).is_loopback


def reachable(host: str, port: int) -> str:
    """Returns the `host:port` at which this machine reaches a server bound to `host`."""
    bound = ipaddress.ip_address(numeric(host))
    if not bound.is_unspecified:
        return address(str(bound), port)
    return address(LOOPBACK if isinstance(bound, ipaddress.IPv4Address) else _LOOPBACK_V6, port)


def listener(host: str, port: int) -> socket.socket:
    """Returns a listening socket; port 0 takes a free one.

    Raises:
        ServingError: The port is taken or may not be bound, or the address is not this machine's.
    """
    bound = numeric(host)
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    # As servers do: lingering connections of an earlier server do not block the port.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((bound, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise ServingError(
            f"{address(host, port)}: {error.strerror}; choose another port or host"
        ) from error
    return listening


def free_port(host: str, port: int = 0) -> int:
    """Returns the port if nothing listens there, or a free one for 0.

    This is for a server that cannot bind port 0 and report the port that it got. Another process
    may take the port before that server does.

    Raises:
        ServingError: The port is taken or may not be bound, or the address is not this machine's.
    """
    with listener(host, port) as listening:
        return int(listening.getsockname()[1])
