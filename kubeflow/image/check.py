"""Builds the files of the image without Docker, and has them run a compiled job."""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from kubeflow.image import context, dockerfile
from kubeflow.image.tree import Image, Tree, last_line
from pipeline.config.errors import UserError

CHECKOUT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = CHECKOUT / "kubeflow" / "Dockerfile"
# The stage whose work `make` does, from the same lock.
TOOLS_STAGE: Final = "tools"
# What an image that only runs things is without.
BUILD_TOOLS: Final = frozenset(
    ("c++", "cc", "cmake", "g++", "gcc", "hatch", "hatchling", "make", "ninja", "pip", "pip3", "uv")
)

_PROJECT: Final = "movierec"
_LOCKED: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)
# The platform of one of a wheel's tags.
_PLATFORM: Final = re.compile(r"^Tag:.*-(\w+)\s*$", re.MULTILINE)
# A few epochs are no good model: this is about the image.
_SETTINGS: Final = ("training.epochs=3", "gate.max_rmse=1.2")
_ROOT: Final = "gs://image-check/root"


def main() -> None:
    """Checks the image, and says what it does; what is wrong is one line and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the files; what is in it is lost")
    parser.add_argument("lock", help="what is installed: the Dockerfile's LOCK")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="movierec-image-") as scratch:
            _check(options.folder.resolve(), Path(scratch).resolve(), options.lock)
    except (UserError, OSError) as error:
        sys.exit(f"movierec: image-check: {error}")
    except KeyboardInterrupt:
        print("movierec: image-check: interrupted", file=sys.stderr)
        sys.exit(130)


def _check(folder: Path, scratch: Path, lock: str) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    context.copy(CHECKOUT, folder / "context")
    tree = Tree(folder / "root", scratch, folder / "context", folder / "build.log", _say)
    image = tree.build(dockerfile.read(DOCKERFILE), TOOLS_STAGE, {"LOCK": lock})
    environment = _environment(image)
    check_packages(environment, tree.context, lock)
    before = _states(environment)
    _check_entrypoint(image, scratch)
    _run_job(image, scratch, folder / "workspace")
    changed = sorted(set(before.items()) ^ set(_states(environment).items()))
    if changed:
        raise UserError(f"the job writes into the image, for instance {changed[0][0]}")
    _say("nothing in the image has changed")


def _environment(image: Image) -> Path:
    """The environment of the entrypoint's interpreter."""
    program = shutil.which(image.entrypoint[0], path=image.environment["PATH"])
    if program is None or not (Path(program).parents[1] / "pyvenv.cfg").is_file():
        raise UserError(f"ENTRYPOINT: {image.entrypoint[0]} is {program}, in no environment")
    return Path(program).parents[1]


def check_packages(environment: Path, sources: Path, lock: str) -> None:
    """Checks that there is what the lock names, the project, and nothing else.

    Args:
        environment: what was built.
        sources: the context it was built from.
        lock: the name of the lock in it.

    Raises:
        UserError: something differs, or was compiled here, which the image's builder cannot do.
    """
    (site_packages,) = environment.glob("lib/python3*/site-packages")
    found = tuple(importlib.metadata.distributions(path=[str(site_packages)]))
    installed = {_normal(distribution.metadata["Name"]) for distribution in found}
    expected = {*map(_normal, _LOCKED.findall((sources / lock).read_text("utf-8"))), _PROJECT}
    if installed != expected:
        more, missing = _shown(installed - expected), _shown(expected - installed)
        raise UserError(f"{lock}: not installed: {missing}; installed beyond it: {more}")
    compiled = {d.metadata["Name"] for d in found if _is_compiled_here(d)}
    if compiled:
        raise UserError(
            "compiled on this machine, while the image's builder has no compiler: "
            f"{_shown(compiled)}; expected releases with a manylinux wheel"
        )
    tools = BUILD_TOOLS & {entry.name for entry in (environment / "bin").iterdir()}
    if tools:
        raise UserError(f"build tools are left: {_shown(tools)}")
    packages = [entry.name for entry in sources.iterdir() if entry.is_dir()]
    for source in (file for name in packages for file in (sources / name).rglob("*")):
        copy = site_packages / source.relative_to(sources)
        if source.is_file() and (not copy.is_file() or copy.read_bytes() != source.read_bytes()):
            raise UserError(f"{source.relative_to(sources)} is not in the image, or differs there")
    _say(f"{len(installed) - 1} locked packages and the project are there; no build tools")


def _is_compiled_here(distribution: importlib.metadata.Distribution) -> bool:
    """Whether it comes from no published wheel: those for Linux name a C library (PEP 600, 656)."""
    platforms = _PLATFORM.findall(distribution.read_text("WHEEL") or "")
    return bool(platforms) and all(platform.startswith("linux_") for platform in platforms)


def _check_entrypoint(image: Image, scratch: Path) -> None:
    """Checks that the entrypoint starts, and knows what a platform calls it with."""
    said = _run(image, scratch, [*image.entrypoint, "--help"], quiet=True)
    if "--executor_class_path" not in said:
        raise UserError(f"{' '.join(image.entrypoint)} --help: no --executor_class_path there")


def _run_job(image: Image, scratch: Path, workspace: Path) -> None:
    """Compiles the pipeline on MovieLens-100K and runs it, from which a model must come."""
    settings = [part for setting in _SETTINGS for part in ("--set", setting)]
    where = ["--image", "movierec:check", "--pipeline-root", _ROOT, "-o", "job.yaml"]
    _run(image, scratch, ["movierec", "compile", "--target", "kfp", *where, *settings], quiet=True)
    _run(image, scratch, ["movierec", "run-compiled", "job.yaml", "--workspace", str(workspace)])
    pushed = sorted(workspace.glob("**/serving/*/*/saved_model.pb"))
    if not pushed:
        raise UserError(f"the job has pushed no model into {workspace}")
    _say(f"pushed: {pushed[0].parent}")


def _run(image: Image, scratch: Path, command: list[str], *, quiet: bool = False) -> str:
    """Runs a command as a container would, with nothing of this process's environment.

    Args:
        image: the container's.
        scratch: in the place of `/tmp`.
        command: with its arguments.
        quiet: whether what it prints is returned rather than shown.

    Raises:
        UserError: it fails.
    """
    _say(" ".join(command))
    program = shutil.which(command[0], path=image.environment["PATH"])
    if program is None:
        raise UserError(f"{command[0]}: not in the image")
    process = subprocess.Popen(
        [program, *command[1:]],
        cwd=image.folder,
        env={**image.environment, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
    )
    try:
        said, _ = process.communicate()
    except KeyboardInterrupt:
        # It has got the Ctrl-C too, and ends what it has started.
        process.communicate()
        raise
    if process.returncode:
        said = f": {last_line(said)}" if quiet else ""
        raise UserError(f"{' '.join(command)}: exit code {process.returncode}{said}")
    return said or ""


def _states(folder: Path) -> Mapping[str, tuple[int, int]]:
    """Time of change in ns and size in bytes, by path."""
    entries = ((str(path), path.lstat()) for path in folder.rglob("*"))
    return {path: (status.st_mtime_ns, status.st_size) for path, status in entries}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _shown(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _say(text: str) -> None:
    print(f"image-check: {text}", flush=True)


if __name__ == "__main__":
    main()
