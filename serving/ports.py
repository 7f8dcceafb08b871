"""TCP ports and addresses of a server on this machine."""

from __future__ import annotations

import ipaddress
import socket

from serving.errors import ServingError


def address(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def numeric(host: str) -> str:
    """The first IP address of a name; an address stays as it is.

    Raises:
        ServingError: nothing on this machine knows the name.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ServingError(
            f"host {host}: {error.strerror}; a name or an IP address of this machine is needed"
        ) from error
    return str(found[0][4][0])


def is_every_interface(host: str) -> bool:
    """Whether a server bound to this address can be reached from everywhere."""
    return ipaddress.ip_address(numeric(host)).is_unspecified


def reachable(host: str, port: int) -> str:
    """`host:port` at which this machine reaches a server bound to `host`."""
    bound = ipaddress.ip_address(numeric(host))
    if not bound.is_unspecified:
        return address(str(bound), port)
    return address("127.0.0.1" if bound.version == 4 else "::1", port)  # noqa: PLR2004


def listener(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        ServingError: the port is taken or may not be bound, or the address is not this machine's.
    """
    bound = numeric(host)
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    # As servers do: connections of an earlier one that linger are not in the way.
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((bound, port))
        found.listen()
    except OSError as error:
        found.close()
        raise ServingError(
            f"{address(host, port)}: {error.strerror}; another port or host is needed"
        ) from error
    return found


def free_port(host: str, port: int = 0) -> int:
    """The port itself if nothing listens there, or a free one for 0.

    For a server that cannot bind port 0 and say which it got; another process may take the port
    before that server does.

    Raises:
        ServingError: as `listener`.
    """
    with listener(host, port) as found:
        return int(found.getsockname()[1])
