"""The platforms that a pipeline is compiled for, and what each of them takes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pipeline.config.errors import UserError
from pipeline.config.locations import OBJECT_STORES, image_problem

# Of every container; the entrypoint of the image, too.
COMMAND: Final = ("python", "-m", "kubeflow.steps.run_step")

SCHEMES: Final = ("gs", *OBJECT_STORES)
"""Of all storage that a platform may have."""


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
        letter_first: whether that name begins with a letter; else a digit will do.
        endings: of the names of its files.
    """

    schema_version: str
    root_schemes: tuple[str, ...]
    local_root: bool
    longest_name: int
    letter_first: bool
    endings: tuple[str, ...]


# A run's id on Vertex AI is the pipeline's name and the time, as -20261122030000.
_LONGEST_VERTEX_NAME: Final = 128 - 15

RULES: Final = {
    Target.VERTEX: _Rules("2.0.0", ("gs",), False, _LONGEST_VERTEX_NAME, True, (".json",)),
    Target.KFP: _Rules("2.1.0", SCHEMES, True, 63, False, (".yaml", ".yml")),
}

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_EXAMPLE_IMAGE = "REGISTRY/movierec:1.2"
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
        UserError: it is no name of an image, or has neither a digest nor a tag that stays.
    """
    problem = image_problem(image, _EXAMPLE_IMAGE)
    if problem is not None:
        raise UserError(f"--image {image}: {problem}")
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
            f"{remote_folders(target)}"
        )
    return checked


def remote_folders(target: Target) -> str:
    """What folders look like that the platform's steps reach."""
    return " or ".join(f"{scheme}://BUCKET/PATH" for scheme in RULES[target].root_schemes)


def check_name(name: str, target: Target) -> str:
    """The pipeline's name.

    Raises:
        UserError: the platform does not take it.
    """
    problem = name_problem(name, target)
    if problem is not None:
        raise UserError(f"--name {name}: {problem}")
    return name


def name_problem(name: str, target: Target) -> str | None:
    """Why the platform does not take a pipeline of this name; None if it does."""
    rules = RULES[target]
    if len(name) > rules.longest_name:
        return f"{len(name)} characters; expected at most {rules.longest_name} for {target}"
    if not _NAME.fullmatch(name) or (rules.letter_first and not name[0].isalpha()):
        ends = "a letter first" if rules.letter_first else "a letter or a digit first"
        return f"expected lower-case letters, digits and -, with {ends} and no - at the end"
    return None


def check_output(output: Path, target: Target) -> Path:
    """The file of a compiled pipeline.

    Raises:
        UserError: the platform's own client would not know it by its name, or it cannot be
            written.
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
    """Why a file cannot be written there, as far as can be seen; None if it can.

    Raises:
        OSError: the folder cannot even be looked at.
    """
    folder = output.parent
    if not folder.exists():
        return f"there is no folder {folder}"
    if not folder.is_dir():
        return f"{folder} is no folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} may not be written to"
    size, longest = len(os.fsencode(output.name)), os.pathconf(folder, "PC_NAME_MAX")
    if size > longest:
        return f"a name of {size} bytes; expected at most {longest}"
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
    local = " or for a dry run /A/FOLDER" if RULES[target].local_root else ""
    return f"{remote_folders(target)}{local}"
