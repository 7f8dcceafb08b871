"""The image in Docker: the chain, compiled jobs and the server, all without a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import COMMAND
from tests.engines import docker_engine
from tests.engines.docker_engine import docker, done

REASON = docker_engine.missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]

# No good model, but each step works.
QUICK = ("--set", "training.epochs=3", "--set", "gate.max_rmse=1.2")
SEALED = ("--network", "none", "--read-only", "--tmpfs", "/tmp")
# Of the Dockerfile.
USER = 10001


@pytest.fixture(scope="module")
def image() -> str:
    return docker_engine.image()


def container(image: str, *arguments: str, mounts: dict[Path, str] | None = None) -> str:
    """What `movierec` prints in a container without a network, as the image's own user."""
    volumes = [f"--volume={source}:{target}" for source, target in (mounts or {}).items()]
    return done("run", "--rm", *SEALED, *volumes, "--entrypoint", "movierec", image, *arguments)


def here(*arguments: str) -> str:
    """What `movierec` prints on this machine."""
    process = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the image's user can write to."""
    folder = tmp_path_factory.mktemp("docker")
    shutil.chown(folder, USER, USER)
    return folder


@pytest.fixture(scope="module")
def summary(image: str, workspace: Path) -> dict[str, Any]:
    """The summary of a run of the whole chain in a container."""
    options = ("--json", "--workspace", "/workspace/ws", *QUICK)
    printed = container(image, "run", *options, mounts={workspace: "/workspace"})
    found: dict[str, Any] = json.loads(printed)
    return found


def test_the_image_runs_the_chain_as_its_own_user(summary: dict[str, Any], workspace: Path) -> None:
    (model,) = (workspace / "ws" / "serving" / "movierec").glob("*/saved_model.pb")
    assert model.stat().st_uid == USER


@pytest.mark.parametrize(("target", "root"), [("kfp", "s3://b/root"), ("vertex", "gs://b/root")])
def test_a_compiled_job_runs_in_the_image_that_it_names(
    target: str, root: str, image: str, summary: dict[str, Any], tmp_path: Path
) -> None:
    job = tmp_path / ("job.yaml" if target == "kfp" else "job.json")
    where = ("--target", target, "--image", image, "--pipeline-root", root, "-o", str(job))
    here("compile", *where, *QUICK)
    told = ("--docker", "--json", "--workspace", str(tmp_path / "ws"))
    found = json.loads(here("run-compiled", str(job), *told))
    for key in ("rows", "rmse", "mae", "calibration", "baselines", "slices"):
        assert found[key] == summary[key], key
    assert found["pushed_model"]
    # Nothing outlives the run.
    assert done("ps", "--all", "--quiet", "--filter", "name=movierec-").split() == []


@pytest.fixture
def server(image: str, summary: dict[str, Any], workspace: Path) -> Iterator[str]:
    """A container that serves what the run has pushed, which it cannot write to."""
    name = "movierec-test-serve"
    done(
        *("run", "--detach", "--name", name, *SEALED, "--health-start-period=1s"),
        *("--health-interval=2s", f"--volume={workspace / 'ws'}:/models:ro"),
        *("--entrypoint", "movierec", image, "serve", "--workspace", "/models"),
    )
    try:
        yield name
    finally:
        docker("rm", "--force", name)


def test_a_container_serves_and_drains_at_sigterm(server: str) -> None:
    def health() -> str:
        return done("inspect", "--format", "{{.State.Health.Status}}", server).strip()

    end = time.monotonic() + 300
    while health() != "healthy":
        assert time.monotonic() < end, docker("logs", server).stderr
        time.sleep(1)
    answer = done("exec", server, "movierec", "query", "recommend", "--user", "1", "--json")
    assert len(json.loads(answer)) == 10
    assert done("exec", server, "id", "-u").strip() == str(USER)
    done("stop", "--time", "60", server)
    assert done("inspect", "--format", "{{.State.ExitCode}}", server).strip() == "0"
