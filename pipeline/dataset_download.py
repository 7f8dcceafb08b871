"""Fetches an edition of MovieLens from its publisher or a mirror."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
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
            download was cut off, or the checksum is wrong.
    """
    if name not in FETCHED:
        raise UserError(f"{name}: no edition of MovieLens; expected one of {', '.join(FETCHED)}")
    if not url.startswith(("http://", "https://")):
        raise UserError(f"--url {url}: expected an address that begins with https:// or http://")
    source = f"{url.rstrip('/')}/{name}.zip"
    archive, part = folder / f"{name}.zip", folder / f"{name}.zip.part"
    checksum = _checksum(f"{source}.md5")
    if archive.exists() and _md5(archive) == checksum:
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    _download(source, part, progress)
    if _md5(part) != checksum:
        part.unlink()
        raise UserError(f"{source}: the file does not have the published checksum; fetch it again")
    return part.replace(archive)


def _checksum(source: str) -> str:
    with _opened(source, 0) as response:
        match = _MD5.search(response.read(_CHECKSUM_BYTES))
    if match is None:
        raise UserError(f"{source}: has no MD5 checksum")
    return match[0].decode().lower()


def _download(source: str, part: Path, progress: Progress) -> None:
    done = part.stat().st_size if part.exists() else 0
    with _opened(source, done) as response:
        if response.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            # Nothing is left to fetch, or the file has changed: the checksum tells.
            return
        continues = response.status == http.client.PARTIAL_CONTENT
        done = done if continues else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        with part.open("ab" if continues else "wb") as file:
            progress(done, total)
            try:
                while block := response.read(_BLOCK):
                    file.write(block)
                    done += len(block)
                    progress(done, total)
            except (OSError, http.client.HTTPException) as error:
                raise UserError(_cut_off(source, done, total)) from error
    if total is not None and done < total:
        raise UserError(_cut_off(source, done, total))


def _cut_off(source: str, done: int, total: int | None) -> str:
    whole = "" if total is None else f" of {total}"
    return f"{source}: cut off after {done}{whole} bytes; fetch it again to continue"


def _opened(source: str, start: int) -> http.client.HTTPResponse:
    """Returns the server's answer, from a byte on if the server can do that."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        return urllib.request.urlopen(
            urllib.request.Request(source, headers=headers), timeout=_SECONDS
        )
    except urllib.error.HTTPError as error:
        if start and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return error  # type: ignore[return-value]
        raise UserError(f"{source}: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{source}: cannot be reached ({reason})") from error


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
