from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

from benchmarks import accuracy, contenders, training_speed
from benchmarks.contenders import running

PACKAGE = "benchmarks.contenders"
# `make peers` installs none of these.
NOT_AMONG_PEERS = {"components", "kubeflow", "models", "pipeline", "serving", "tensorflow", "tfx"}


def contenders_of_speed() -> list[str]:
    ratings = training_speed.RatingSet("", Path(), Path(), ratings=1, epochs=1, batch_size=1)
    return list(training_speed.speed_settings(ratings))


@pytest.mark.parametrize(
    "name",
    [
        "rating_model",
        "retrieval_model",
        *(name for name, _ in (*accuracy._PEERS.values(), *accuracy._RETRIEVAL_PEERS.values())),
        *contenders_of_speed(),
        *running._IN_PEERS,
    ],
)
def test_every_contender_that_is_named_is_there(name: str) -> None:
    assert importlib.util.find_spec(f"{PACKAGE}.{name}") is not None


def imported(name: str) -> set[str]:
    """What a contender imports, and what those of its own package do that it does."""
    source = (Path(contenders.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    own = {module for module in found if module.startswith(f"{PACKAGE}.")}
    return found.union(*(imported(module.removeprefix(f"{PACKAGE}.")) for module in own))


@pytest.mark.parametrize("name", running._IN_PEERS)
def test_what_runs_among_the_peers_needs_none_of_our_packages(name: str) -> None:
    found = imported(name)
    assert f"{PACKAGE}.measuring" in found
    assert not {module.partition(".")[0] for module in found} & NOT_AMONG_PEERS


def test_without_the_peers_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PEERS_PYTHON", tmp_path / "python")
    with pytest.raises(SystemExit, match="make peers"):
        running.require_peers()
