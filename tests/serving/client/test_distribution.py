"""The client as a distribution of its own, which needs gRPC and protobuf only."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.serving.fake_server import MOVIES, SCORES, FakeModel, served

ROOT = Path(__file__).parents[3]
UV = ROOT / ".bootstrap" / "bin" / "uv"
# By import name, what `dependencies` lists.
DEPENDENCIES = {"grpc": "grpcio", "google.protobuf": "protobuf"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT / "serving" / "client",
        check=True,
    )
    (built,) = folder.iterdir()
    return built


def imported(source: bytes) -> set[str]:
    """The modules that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""}
    return names


def test_it_imports_its_own_files_and_its_dependencies_alone(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        sources = {name: archive.read(name) for name in archive.namelist() if name.endswith(".py")}
    assert "serving/client/__init__.py" in sources
    names = set().union(*map(imported, sources.values()))
    ours = {name for name in names if name.split(".")[0] == "serving"}
    files = {name.replace(".", "/") for name in ours}
    assert {f for f in files if not {f"{f}.py", f"{f}/__init__.py"} & sources.keys()} == set()
    others = {name for name in names - ours if name.split(".")[0] not in sys.stdlib_module_names}
    assert {
        next(package for prefix, package in DEPENDENCIES.items() if f"{name}.".startswith(prefix))
        for name in others
    } == set(DEPENDENCIES.values())


def test_its_metadata_names_the_version_and_the_dependencies(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        lines = archive.read(path).decode().splitlines()
    required = {line.split()[1].split(">")[0] for line in lines if line.startswith("Requires-Dist")}
    assert required == set(DEPENDENCIES.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Version: {project['version']}" in lines


@pytest.mark.slow
def test_it_queries_a_server_from_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Fetches gRPC and protobuf from the package index."""
    python = tmp_path / "environment" / "bin" / "python"
    for command in (
        ["venv", "--python", sys.executable, str(python.parents[1])],
        ["pip", "install", "--python", str(python), str(wheel)],
    ):
        subprocess.run([UV, *command], cwd=tmp_path, check=True)
    code = (
        "import asyncio, json, sys\n"
        "from serving.client import AsyncRecommenderClient, RecommenderClient\n"
        "with RecommenderClient(sys.argv[1], timeout=30) as client:\n"
        "    found = [client.predict(['1'], ['500']), client.recommend('1', 1)[0].score]\n"
        "async def similar():\n"
        "    async with AsyncRecommenderClient(sys.argv[1], timeout=30) as client:\n"
        "        return await client.similar('50', 1)\n"
        "found.append(asyncio.run(similar())[0].movie_id)\n"
        "tops = {name.split('.')[0] for name in sys.modules}\n"
        "print(json.dumps([found, sorted(tops & {'models', 'numpy', 'tensorflow'})]))"
    )
    best, second = (movie_id for movie_id, _ in MOVIES[:2])
    assert best == "50"
    with served(FakeModel()) as port:
        result = subprocess.run(
            [python, "-I", "-c", code, f"127.0.0.1:{port}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
    assert json.loads(result.stdout) == [[[1.5], SCORES[best], second], []]
