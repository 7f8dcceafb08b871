"""The folder of pushed versions, on this machine or in cloud storage."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import logging
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from tfx.dsl.io import fileio
from tfx.utils import io_utils

from models.export.saved_model import COMPARISON_GROUP_FILE
from serving.version_pin import PIN_FILE, Change, Pin, parse_pin
from serving.versions import version_number

INCOMING: Final = ".incoming-"
"""Start of the name of a copy that is not a version yet, which model servers pass over."""

SAVED_MODEL: Final = "saved_model.pb"
"""File that is copied last, and so makes a version of a folder."""
_FINGERPRINT: Final = "fingerprint.pb"


def newest_first(folder: str) -> Iterator[str]:
    """Yields the path of each version, complete or not; none if the folder does not exist.

    Versions that were rolled back are left out. Errors of the file system are not caught: a folder
    that cannot be read is not an empty one.
    """
    # TensorFlow's isdir answers no if it cannot tell; exists does not, and listdir then fails.
    if not fileio.exists(folder):
        return
    # Cloud storage ends the names of folders with a slash.
    names = (name.rstrip("/") for name in fileio.listdir(folder))
    numbers = {name: version_number(name) for name in names}
    rejected = read_pin(folder).rejected
    versions = {
        name: number
        for name, number in numbers.items()
        if number is not None and number not in rejected
    }
    for name in sorted(versions, key=versions.__getitem__, reverse=True):
        yield os.path.join(folder, name)


def version_folder(folder: str, number: int) -> str:
    """Returns the path of a version, whose name may have leading zeros; it need not be there.

    Of several names for one number, the shortest counts, as for servers.
    """
    names = (name.rstrip("/") for name in fileio.listdir(folder)) if fileio.exists(folder) else ()
    same = sorted((name for name in names if version_number(name) == number), key=len)
    return os.path.join(folder, same[0] if same else str(number))


def is_complete(version: str) -> bool:
    """Returns whether the file that is copied last is there, and so the whole version."""
    return bool(fileio.exists(os.path.join(version, SAVED_MODEL)))


def comparison_group(saved_model: str) -> str | None:
    """Returns the comparison group of an export; None if it does not say."""
    path = os.path.join(saved_model, COMPARISON_GROUP_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "rb") as file:
        # One that is damaged names no group, so nothing compares with it.
        return bytes(file.read()).decode(errors="replace")


def digest(saved_model: str) -> str:
    """Returns the digest of an export, or an empty text if it has no fingerprint.

    TensorFlow writes a UUID into the fingerprint of every export, beside the hashes of the graph
    and the weights. So equal digests are the same export; the same weights exported anew are not.
    """
    path = os.path.join(saved_model, _FINGERPRINT)
    if not fileio.exists(path):
        return ""
    with fileio.open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def is_same_export(version: str, export: str) -> bool:
    """Returns whether two folders hold the same export; one without a fingerprint equals none."""
    ours = digest(export)
    return bool(ours) and ours == digest(version)


def read_pin(folder: str) -> Pin:
    """Returns the pin of a folder of versions, on this machine or in cloud storage.

    Raises:
        ServingError: It is damaged.
    """
    path = os.path.join(folder, PIN_FILE)
    if not fileio.exists(path):
        return Pin()
    with fileio.open(path, "rb") as file:
        return parse_pin(file.read(), path)


def write_pin(folder: str, pin: Pin) -> None:
    """Writes the pin in one step, and waits until it is on the disk.

    In cloud storage, where a file appears with its last byte, it is written in place.
    """
    path = os.path.join(folder, PIN_FILE)
    text = pin.model_dump_json(indent=2) + "\n"
    if is_remote(folder):
        with fileio.open(path, "w") as file:
            file.write(text)
        return
    # Under this name, what a killed process leaves is removed with the copies of killed pushes.
    aside = os.path.join(folder, f"{INCOMING}{uuid.uuid4().hex}")
    try:
        Path(aside).write_text(text, encoding="utf-8")
        _sync(aside)
        rename(aside, path)
    except BaseException:
        discard(aside)
        raise


def change(
    action: Literal["rollback", "promote", "push"], version: int, replaced: int | None, reason: str
) -> Change:
    """Returns the record of a change that this process makes now."""
    return Change(
        at=datetime.now().astimezone().isoformat(timespec="seconds"),
        by=f"{_user()}@{socket.gethostname()}",
        action=action,
        version=version,
        replaced=replaced,
        reason=reason,
    )


def is_remote(folder: str) -> bool:
    """Returns whether a folder is in cloud storage, which has neither locks nor renames."""
    return "://" in folder


@contextmanager
def local_copy(folder: str) -> Iterator[Path]:
    """Yields a folder of this machine or, for cloud storage, a copy of it."""
    if not is_remote(folder):
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        copy = os.path.join(temporary, "copy")
        io_utils.copy_dir(folder, copy)
        yield Path(copy)


@contextmanager
def locked(folder: str, wait: bool = True) -> Iterator[bool | None]:
    """Keeps other pushes out of a folder of this machine inside the block, and makes the folder.

    The lock ends with the process that holds it, however that ends.

    Args:
        folder: Folder of the versions.
        wait: Whether another push is waited for.

    Yields:
        Whether the folder is locked: False if another push holds it and is not waited for, and
        None on a file system without locks.
    """
    os.makedirs(folder, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError as error:
            logging.info("%s: not locked (%s)", folder, error.strerror)
            yield None
        else:
            yield True
    finally:
        os.close(descriptor)


def abandoned(folder: str) -> list[Path]:
    """Returns the copies, and files, that killed pushes left; the folder must be locked."""
    return sorted(Path(folder).glob(f"{INCOMING}*"))


def discard(path: str | Path) -> None:
    """Removes a copy or a file that nothing needs, as far as it can be removed."""
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(path)


def write_to_disk(folder: str) -> None:
    """Waits until all files and folders below a folder are on the disk, so a crash loses none."""
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(os.path.join(parent, name))
        _sync(parent)


def rename(source: str, target: str) -> None:
    """Renames a file or folder, and waits until the new name is on the disk.

    Raises:
        OSError: There is a folder of this name, with something in it.
    """
    os.rename(source, target)
    _sync(os.path.dirname(target))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return str(os.getuid())


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
