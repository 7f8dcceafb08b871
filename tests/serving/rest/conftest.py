"""What the tests of the REST server share."""

from __future__ import annotations

import threading

import pytest

from serving import web_server


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """An event that is set once a connection of a server has ended."""
    cut_off = threading.Event()
    ended = web_server.PatientProtocol.connection_lost

    def note(self: web_server.PatientProtocol, error: Exception | None) -> None:
        ended(self, error)
        cut_off.set()

    monkeypatch.setattr(web_server.PatientProtocol, "connection_lost", note)
    return cut_off
