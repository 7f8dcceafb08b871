"""Which room of `kubeflow/` imports which."""

from __future__ import annotations

from graphlib import TopologicalSorter

import pytest

from tests.test_imports import ROOT, imports, is_of

# By room, those that it imports. A file beside the rooms is one of its own.
ROOMS = {
    "machines": set(),
    "manifests": set(),
    "storage": set(),
    "training_job": {"machines"},
    "compiling": {"machines", "training_job"},
    "steps": {"storage", "training_job"},
    "local_execution": {"storage"},
    "submission": {"local_execution", "training_job"},
}


def found(room: str) -> set[str]:
    """The other rooms that a room imports."""
    names = [name for _, name in imports(f"kubeflow/{room}")]
    return {
        other
        for other in ROOMS.keys() - {room}
        if any(is_of(name, f"kubeflow.{other}") for name in names)
    }


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_it_may_and_no_more(room: str) -> None:
    assert found(room) == ROOMS[room]


def test_every_folder_with_code_is_a_room() -> None:
    folders = {path.parent.name for path in (ROOT / "kubeflow").glob("*/*.py")}
    assert folders == ROOMS.keys()


def test_no_circle() -> None:
    """Files beside the rooms count too: a room may import one that imports a room."""
    files = [path.stem for path in (ROOT / "kubeflow").glob("*.py") if path.stem != "__init__"]
    names = {*files, *ROOMS}
    arrows: dict[str, set[str]] = {name: set() for name in names}
    for place, name in imports("kubeflow"):
        own = place.removeprefix("kubeflow/").partition(":")[0].partition("/")[0]
        own = own.removesuffix(".py")
        other = name.removeprefix("kubeflow.").partition(".")[0]
        if own in names and is_of(name, "kubeflow") and other in names - {own}:
            arrows[own].add(other)
    assert any(arrows.values())
    TopologicalSorter(arrows).prepare()
