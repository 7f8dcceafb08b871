"""Which model server a person may ask for."""

from __future__ import annotations

from enum import StrEnum


class WantedServer(StrEnum):
    """The values of `--server`."""

    AUTO = "auto"
    BINARY = "binary"
    DOCKER = "docker"
    EMBEDDED = "embedded"
