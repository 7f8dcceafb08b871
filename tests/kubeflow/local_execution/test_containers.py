"""How a task's command becomes one of Docker; tests/engines runs it."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from kubeflow.local_execution import containers
from kubeflow.local_execution.containers import Containers
from pipeline.config.errors import UserError

IMAGE = "registry.example/movierec:1"


def docker(folder: Path, script: str) -> None:
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "docker").chmod(0o755)


def test_the_folders_of_a_machine_are_those_of_the_container(tmp_path: Path) -> None:
    root, buckets = tmp_path / "pod", tmp_path / "ws" / "buckets"
    made = Containers({IMAGE: "sha256:1"}, (buckets,)).command(
        "a-name",
        IMAGE,
        root,
        ["python", "-m", "a.step", f'{{"uri": "{root}/gcs/bucket/model"}}'],
        {"TMPDIR": f"{root}/tmp", "OTHER": "kept"},
    )
    options, (image, *arguments) = made[: made.index("sha256:1")], made[made.index("sha256:1") :]
    assert options[:2] == ["docker", "run"]
    assert image == "sha256:1"
    assert arguments == ["-m", "a.step", '{"uri": "/gcs/bucket/model"}']
    assert {("--entrypoint", "python"), ("--network", "none")} < set(pairwise(options))
    assert ("--user", f"{os.getuid()}:{os.getgid()}") in pairwise(options)
    assert "--read-only" in options
    assert {one for one in options if one.startswith("--env=")} == {
        "--env=TMPDIR=/tmp",
        "--env=OTHER=kept",
    }
    mounted = {one.removeprefix("--volume=") for one in options if one.startswith("--volume=")}
    assert mounted == {
        *(f"{root}/{name}:/{name}" for name in ("tmp", "gcs", "s3", "minio")),
        f"{buckets}:{buckets}",
    }
    assert buckets.is_dir()


@pytest.mark.parametrize("installed", [False, True])
def test_an_engine_that_does_not_answer_is_one_line(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if installed:
        docker(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="Docker does not answer"):
        containers.find([IMAGE], [])


def test_an_image_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(tmp_path, 'test "$1" = version')
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=f"no image {IMAGE}; build it with `make image"):
        containers.find([IMAGE], [])


def test_a_container_is_removed_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(tmp_path, f'echo "$@" >>{tmp_path}/calls')
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), Containers({}, ()).named() as name:
        raise KeyboardInterrupt
    assert (tmp_path / "calls").read_text() == f"rm --force {name}\n"
