"""Which room of `serving/` imports which."""

from __future__ import annotations

import pytest

from tests.test_imports import imports, is_of

ROOMS = {"client": set(), "embedded": set(), "launch": {"client", "embedded"}}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_those_below_it_alone(room: str) -> None:
    others = ROOMS.keys() - {room} - ROOMS[room]
    found = [entry for entry in imports(f"serving/{room}") if is_of(entry[1], "serving")]
    assert found
    assert [e for e in found if any(is_of(e[1], f"serving.{other}") for other in others)] == []


def test_what_the_rooms_share_imports_none_of_them() -> None:
    shared = [
        (place, name)
        for place, name in imports("serving")
        if place.partition(":")[0].count("/") == 1
    ]
    assert shared
    assert [e for e in shared if any(is_of(e[1], f"serving.{room}") for room in ROOMS)] == []


def test_the_client_imports_none_of_our_other_packages() -> None:
    names = {name.partition(".")[0] for _, name in imports("serving/client")}
    assert "grpc" in names
    assert names.isdisjoint({"models", "components", "pipeline", "kubeflow", "numpy"})
