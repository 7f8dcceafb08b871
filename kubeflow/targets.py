"""The platforms that a pipeline is compiled for, and what each of them takes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pipeline.errors import UserError

# Of every container; the entrypoint of the image, too.
COMMAND: Final = ("python", "-m", "kubeflow.run_step")


class Target(StrEnum):
    """A platform that runs compiled pipelines."""

    VERTEX = "vertex"
    KFP = "kfp"


@dataclass(frozen=True)
class _Rules:
    """What a platform takes.

    Attributes:
        schema_version: of the specification that it reads.
        root_schemes: of the storage that its steps and its own launcher reach.
        local_root: whether a folder of this machine is taken, for a dry run.
        longest_name: of a pipeline.
        endings: of the names of its files.
    """

    schema_version: str
    root_schemes: tuple[str, ...]
    local_root: bool
    longest_name: int
    endings: tuple[str, ...]


RULES: Final = {
    Target.VERTEX: _Rules("2.0.0", ("gs",), False, 128, (".json",)),
    Target.KFP: _Rules("2.1.0", ("gs", "s3", "minio"), True, 63, (".yaml", ".yml")),
}

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
# A registry's host and port, a path, and then a tag, a digest, or both.
_IMAGE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?(/[a-z0-9._-]+)*"
    r"((?P<tag>:\w[\w.-]{0,127})(?P<pinned>@sha256:[0-9a-f]{64})?|(?P<digest>@sha256:[0-9a-f]{64}))",
    re.ASCII,
)
_REMOTE = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>[A-Za-z0-9][^\s{}'\"\\]*)")
_LOCAL = re.compile(r"/[^\s{}'\"\\]*")


def parse_target(text: str) -> Target:
    """The platform of this name.

    Raises:
        UserError: there is none.
    """
    try:
        return Target(text)
    except ValueError as error:
        allowed = ", ".join(Target)
        raise UserError(f"--target {text}: unknown; expected one of {allowed}") from error


def check_image(image: str) -> str:
    """The image, if it names one build of itself.

    Raises:
        UserError: it has neither a tag nor a digest, or is no name of an image.
    """
    if not _IMAGE.fullmatch(image):
        raise UserError(
            f"--image {image}: a tag or a digest is expected, as in REGISTRY/movierec:1.2, so "
            f"that every step of a run has the same code"
        )
    return image


def check_pipeline_root(root: str, target: Target) -> str:
    """The folder for what the steps write, without a slash at its end.

    Raises:
        UserError: the platform does not reach it.
    """
    return _check_folder("--pipeline-root", root, target)


def check_location(option: str, uri: str, target: Target, root: str) -> str:
    """A folder that the steps read or write beside the pipeline root, without a slash at its end.

    Raises:
        UserError: the platform does not reach it; a folder of this machine is taken only with a
            pipeline root that is one, too.
    """
    checked = _check_folder(option, uri, target)
    if checked.startswith("/") and not root.startswith("/"):
        raise UserError(
            f"{option} {uri}: a folder of this machine is not there in the cluster; expected "
            f"{_expected(target)}"
        )
    return checked


def check_name(name: str, target: Target) -> str:
    """The pipeline's name.

    Raises:
        UserError: the platform does not take it.
    """
    longest = RULES[target].longest_name
    if len(name) > longest:
        raise UserError(
            f"--name {name}: {len(name)} characters; expected at most {longest} for {target}"
        )
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--name {name}: expected lower-case letters, digits and -, with a letter or a digit "
            f"at both ends"
        )
    return name


def check_output(output: Path, target: Target) -> Path:
    """The file of a compiled pipeline.

    Raises:
        UserError: the platform's own client would not know it by its name.
    """
    endings = RULES[target].endings
    if output.suffix not in endings:
        raise UserError(f"-o {output}: expected a name that ends in {' or '.join(endings)}")
    return output


def _check_folder(option: str, uri: str, target: Target) -> str:
    rules = RULES[target]
    remote = _REMOTE.fullmatch(uri)
    reached = remote is not None and remote["scheme"] in rules.root_schemes
    local = rules.local_root and _LOCAL.fullmatch(uri) is not None
    if not reached and not local:
        raise UserError(f"{option} {uri}: {target} does not reach it; expected {_expected(target)}")
    return uri.rstrip("/") or uri


def _expected(target: Target) -> str:
    remote = [f"{scheme}://BUCKET/PATH" for scheme in RULES[target].root_schemes]
    local = ["for a dry run /A/FOLDER"] if RULES[target].local_root else []
    return " or ".join(remote + local)
