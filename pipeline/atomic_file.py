"""Text files that appear complete or not at all."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes a file in UTF-8 under a temporary name beside its place, and renames it.

    Raises:
        OSError: The file cannot be written. Nothing is left behind, and an earlier file stays.
    """
    # A short name: the file's own may be as long as a name can be.
    aside = path.with_name(f".{uuid.uuid4().hex}")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
