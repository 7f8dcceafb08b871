"""The pin: a file beside the versions that holds servers at one of them, and says who put it there.

Without a pin, servers follow the newest version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from serving.errors import ServingError, one_line
from serving.versions import versions

# TensorFlow Serving passes over names that are no numbers.
PIN_FILE: Final = "pin.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(_Record):
    """One change of what is served, other than a push that follows the newest version.

    Attributes:
        at: Time, in ISO 8601 with the offset.
        by: User and machine.
        action: `push` is a run whose model was better than the pinned version.
        version: Version that is served from then on.
        replaced: Version that was served before; None if there was none.
        reason: Reason, as given.
    """

    at: str
    by: str
    action: Literal["rollback", "promote", "push"]
    version: int
    replaced: int | None
    reason: str


class Pin(_Record):
    """The content of the file.

    Attributes:
        version: Version that is served although there may be newer ones; None follows the newest.
        rejected: Versions that were rolled back and must not be pushed again, with the digest of
            their exports; an empty digest is that of an export without a fingerprint.
        changes: Every change, oldest first.
    """

    version: int | None = None
    rejected: dict[int, str] = {}
    changes: tuple[Change, ...] = ()


def read_pin(folder: Path) -> Pin:
    """Returns the pin of a folder of versions; without the file, one that pins nothing.

    Raises:
        ServingError: The file cannot be read.
    """
    path = folder / PIN_FILE
    try:
        return parse_pin(path.read_bytes(), str(path))
    except FileNotFoundError:
        return Pin()
    except OSError as error:
        raise ServingError(
            f"{path}: {error.strerror}; expected what `movierec rollback` wrote"
        ) from error


def parse_pin(text: str | bytes, path: str) -> Pin:
    """Returns the pin that a file's text describes.

    Raises:
        ServingError: It is damaged.
    """
    try:
        return Pin.model_validate_json(text)
    except ValidationError as error:
        reason = one_line(error.errors()[0]["msg"])
        raise ServingError(
            f"{path}: damaged ({reason}); remove it to serve the newest version, then "
            "`movierec promote` the right one"
        ) from error


def candidates(folder: Path, pinned: int | None) -> list[Path]:
    """Returns the complete versions that may be served by default, the best one last.

    That is the pinned version or, if it is gone, the one before. Without a pin it is the newest.
    """
    return [
        version for version in versions(folder) if pinned is None or int(version.name) <= pinned
    ]


def served_version(folder: Path) -> Path | None:
    """Returns the folder of the version that a server answers with, or None if there is none.

    Raises:
        ServingError: The pin cannot be read.
    """
    return next(reversed(candidates(folder, read_pin(folder).version)), None)


def fixed_version(folder: Path) -> int | None:
    """Returns the only version that TensorFlow Serving may load, or None if the newest is right.

    The newest is wrong if an earlier one is pinned, or if the folder of the highest number is no
    complete version: TensorFlow Serving tries nothing else.

    Raises:
        ServingError: The pin cannot be read.
    """
    served = served_version(folder)
    if served is None:
        return None
    names = (entry.name for entry in folder.iterdir())
    numbers = (int(name) for name in names if name.isascii() and name.isdecimal())
    highest = max(number for number in numbers if number < 2**63)
    return None if int(served.name) >= highest else int(served.name)
