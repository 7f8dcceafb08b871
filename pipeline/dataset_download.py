"""Fetches an edition of MovieLens from its publisher or a mirror."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Final

from components.movielens_example_gen.readers import EDITIONS
from pipeline.config.errors import UserError

PUBLISHER: Final = "https://files.grouplens.org/datasets/movielens"

TERMS: Final = (
    "MovieLens data is GroupLens's. You may use it for research, must acknowledge it in "
    "publications, and may neither pass it on nor use it commercially without permission. The "
    "README in the archive has the terms."
)

FETCHED: Final = tuple(name for name in EDITIONS if name.startswith("ml-"))
"""Editions that are published as archives."""

_SECONDS: Final = 60
_BLOCK: Final = 1 << 18
_CHECKSUM_BYTES: Final = 4096
_MD5 = re.compile(rb"\b[0-9a-fA-F]{32}\b")

Progress = Callable[[int, int | None], None]
"""A function that is told how many bytes are there, and how many there will be if known."""


def fetch(name: str, folder: Path, url: str, progress: Progress) -> Path:
    """Returns the archive of an edition, fetched unless it is there, with the published checksum.

    Args:
        name: Name of the edition.
        folder: Folder for the archive. A download that was cut off leaves `NAME.zip.part` there,
            and the next one continues it.
        url: Address of the folder with `NAME.zip` and `NAME.zip.md5`.
        progress: Function that is told of the progress.

    Raises:
        UserError: There is no such edition, the server does not have it or cannot be reached, the
            download was cut off, the disk is full, another process fetches the same archive, or the
            checksum is wrong.
    """
    if name not in FETCHED:
        raise UserError(f"{name}: no edition of MovieLens; expected one of {', '.join(FETCHED)}")
    _check_address(url)
    source = f"{url.rstrip('/')}/{name}.zip"
    archive, part = folder / f"{name}.zip", folder / f"{name}.zip.part"
    checksum = _checksum(f"{source}.md5")
    if archive.exists() and _md5(archive) == checksum:
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(part) as file:
        _download(source, file, progress)
        if _md5(part) != checksum:
            part.unlink()
            raise UserError(
                f"{source}: the file does not have the published checksum; fetch it again"
            )
        return part.replace(archive)


def _check_address(url: str) -> None:
    try:
        address = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise UserError(f"--url {url}: no address ({error})") from error
    if address.scheme not in ("http", "https") or not address.hostname:
        raise UserError(f"--url {url}: expected an address that begins with https:// or http://")
    if address.username is not None:
        # The line must not show it.
        raise UserError("--url: an address with a user name or a password cannot be used")


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[FileIO]:
    """Yields a file to append to, which no other process fetches; an empty one does not stay.

    Raises:
        UserError: Another process fetches it.
    """
    while True:
        with part.open("ab", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"{part}: another process fetches it; wait until it ends"
                ) from error
            # The other may have ended and renamed it since it was opened.
            if not _is_at(part, file):
                continue
            try:
                yield file
            finally:
                if _is_at(part, file) and not part.stat().st_size:
                    part.unlink()
            return


def _is_at(path: Path, file: FileIO) -> bool:
    """Returns whether an open file is still the one at a path."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))


def _checksum(source: str) -> str:
    with _opened(source, 0) as response:
        try:
            match = _MD5.search(response.read(_CHECKSUM_BYTES))
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"{source}: cannot be read ({error})") from error
    if match is None:
        raise UserError(f"{source}: has no MD5 checksum")
    return match[0].decode().lower()


def _download(source: str, file: FileIO, progress: Progress) -> None:
    done = file.tell()
    with _opened(source, done) as response:
        if response.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            # Nothing is left to fetch, or the file has changed: the checksum tells.
            return
        if response.status != http.client.PARTIAL_CONTENT:
            file.truncate(0)
            done = 0
        total = None if response.length is None else done + response.length
        progress(done, total)
        while True:
            try:
                # What has come is kept, however little it is.
                block = response.read1(_BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise UserError(_cut_off(source, done, total)) from error
            if not block:
                break
            _append(file, block)
            done += len(block)
            progress(done, total)
    if total is not None and done < total:
        raise UserError(_cut_off(source, done, total))


def _append(file: FileIO, block: bytes) -> None:
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise UserError(
            f"{file.name!s}: cannot be written ({error.strerror}); make room, and fetch it again "
            "to continue"
        ) from error


def _cut_off(source: str, done: int, total: int | None) -> str:
    whole = "" if total is None else f" of {total}"
    return f"{source}: cut off after {done}{whole} bytes; fetch it again to continue"


def _opened(source: str, start: int) -> http.client.HTTPResponse:
    """Returns the server's answer, from a byte on if the server can do that."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(source, headers=headers), timeout=_SECONDS
        )
    except urllib.error.HTTPError as error:
        if start and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return error  # type: ignore[return-value]
        # The reason of a redirect in a circle has several lines.
        reason = str(error.reason).partition("\n")[0]
        raise UserError(f"{source}: the server answers {error.code} {reason}") from error
    # Of an address that HTTP cannot carry, such as one with an umlaut, the error is a ValueError.
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        raise UserError(f"{source}: cannot be reached ({cause})") from error
    if not isinstance(response, http.client.HTTPResponse):
        raise UserError(f"{source}: redirects to {response.url}: expected http:// or https://")
    return response


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
