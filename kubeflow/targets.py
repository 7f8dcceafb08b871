"""The platforms that a pipeline is compiled for, and what each of them accepts."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pipeline.config.errors import UserError
from pipeline.config.locations import OBJECT_STORES, image_problem

COMMAND: Final = ("python", "-m", "kubeflow.steps.run_step")
"""Command of every step's container, and entrypoint of the image."""

SCHEMES: Final = ("gs", *OBJECT_STORES)
"""URI schemes of all storage that platforms reach."""

OLDEST_KFP: Final = (2, 3, 0)
"""Oldest supported release of Kubeflow Pipelines."""


class Target(StrEnum):
    """A platform that runs compiled pipelines."""

    VERTEX = "vertex"
    KFP = "kfp"


@dataclass(frozen=True)
class _Rules:
    """What a platform accepts.

    Attributes:
        schema_version: Version of the pipeline specification.
        root_schemes: URI schemes of the storage that its steps and its launcher reach.
        local_root: Whether it accepts folders of this machine, for dry runs.
        longest_name: Largest number of characters in the name of a pipeline.
        letter_first: Whether the name has to begin with a letter, not a digit.
        endings: Endings of the names of compiled files.
    """

    schema_version: str
    root_schemes: tuple[str, ...]
    local_root: bool
    longest_name: int
    letter_first: bool
    endings: tuple[str, ...]


# The id of a run on Vertex AI is the pipeline's name and the time, as in -20261122030000.
_LONGEST_VERTEX_NAME: Final = 128 - 15

RULES: Final = {
    Target.VERTEX: _Rules("2.0.0", ("gs",), False, _LONGEST_VERTEX_NAME, True, (".json",)),
    Target.KFP: _Rules("2.1.0", SCHEMES, True, 63, False, (".yaml", ".yml")),
}

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_EXAMPLE_IMAGE: Final = "REGISTRY/movierec:1.2"
_REMOTE: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>[A-Za-z0-9][^\s{}'\"\\]*)")
_LOCAL: Final = re.compile(r"/[^\s{}'\"\\]*")


def parse_target(text: str) -> Target:
    """Returns the platform of a name.

    Raises:
        UserError: There is no such platform.
    """
    try:
        return Target(text)
    except ValueError as error:
        allowed = ", ".join(Target)
        raise UserError(f"--target {text}: unknown; expected one of {allowed}") from error


def check_image(image: str) -> str:
    """Checks that a name identifies one build of an image, and returns it.

    Raises:
        UserError: It is no name of an image, or has neither a digest nor a fixed tag.
    """
    problem = image_problem(image, _EXAMPLE_IMAGE)
    if problem is not None:
        raise UserError(f"--image {image}: {problem}")
    return image


def check_pipeline_root(root: str, target: Target) -> str:
    """Checks the pipeline root and returns it without a slash at its end.

    Raises:
        UserError: The platform does not reach it.
    """
    return _check_folder("--pipeline-root", root, target)


def check_location(option: str, uri: str, target: Target, root: str) -> str:
    """Checks a folder other than the pipeline root and returns it without a slash at its end.

    Args:
        option: Option or key that the folder comes from.
        uri: Address of the folder.
        target: Platform whose steps use the folder.
        root: Pipeline root.

    Raises:
        UserError: The platform does not reach it, or it is a folder of this machine while the
            pipeline root is not.
    """
    checked = _check_folder(option, uri, target)
    if checked.startswith("/") and not root.startswith("/"):
        raise UserError(
            f"{option} {uri}: the cluster has no access to folders of this machine; expected "
            f"{remote_folders(target)}"
        )
    return checked


def remote_folders(target: Target) -> str:
    """Returns the form of the folders that a platform reaches, for messages."""
    return " or ".join(f"{scheme}://BUCKET/PATH" for scheme in RULES[target].root_schemes)


def check_name(name: str, target: Target) -> str:
    """Checks the name of a pipeline and returns it.

    Raises:
        UserError: The platform does not accept it.
    """
    problem = name_problem(name, target)
    if problem is not None:
        raise UserError(f"--name {name}: {problem}")
    return name


def name_problem(name: str, target: Target) -> str | None:
    """Returns why a platform does not accept the name of a pipeline; None if it does."""
    rules = RULES[target]
    if len(name) > rules.longest_name:
        return f"{len(name)} characters; expected at most {rules.longest_name} for {target}"
    if not _NAME.fullmatch(name) or (rules.letter_first and not name[0].isalpha()):
        ends = "a letter first" if rules.letter_first else "a letter or a digit first"
        return f"expected lower-case letters, digits and -, with {ends} and no - at the end"
    return None


def check_output(output: Path, target: Target) -> Path:
    """Checks the path for a compiled pipeline and returns it.

    Raises:
        UserError: The platform's client would not recognise the file by its name, or the file
            cannot be written.
    """
    endings = RULES[target].endings
    if output.suffix not in endings:
        raise UserError(f"-o {output}: expected a name that ends in {' or '.join(endings)}")
    try:
        problem = _output_problem(output)
    except OSError as error:
        raise UserError(f"-o {output}: {error.strerror}") from error
    if problem is not None:
        raise UserError(f"-o {output}: {problem}")
    return output


def _output_problem(output: Path) -> str | None:
    """Returns why a file cannot be written, as far as can be told before; None if it can.

    Raises:
        OSError: The folder cannot be accessed.
    """
    folder = output.parent
    if not folder.exists():
        return f"there is no folder {folder}"
    if not folder.is_dir():
        return f"{folder} is not a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"no permission to write to {folder}"
    size, longest = len(os.fsencode(output.name)), os.pathconf(folder, "PC_NAME_MAX")
    if size > longest:
        return f"the name has {size} bytes; expected at most {longest}"
    if output.is_dir():
        return "is a folder; expected a file"
    return None


def _check_folder(option: str, uri: str, target: Target) -> str:
    rules = RULES[target]
    remote = _REMOTE.fullmatch(uri)
    reached = remote is not None and remote["scheme"] in rules.root_schemes
    local = rules.local_root and _LOCAL.fullmatch(uri) is not None
    if not reached and not local:
        raise UserError(f"{option} {uri}: {target} does not reach it; expected {_expected(target)}")
    return uri.rstrip("/") or uri


def _expected(target: Target) -> str:
    local = ", or /A/FOLDER for a dry run" if RULES[target].local_root else ""
    return f"{remote_folders(target)}{local}"
