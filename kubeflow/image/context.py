"""Which files an image may be built from, as `.dockerignore` has it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

IGNORE_FILE: Final = ".dockerignore"


def files(root: Path) -> Iterator[PurePosixPath]:
    """The files that `.dockerignore` lets through, relative to its folder.

    Its last line that covers a file, or a folder around it, decides.

    Args:
        root: the folder with the `.dockerignore`.
    """
    patterns = _patterns((root / IGNORE_FILE).read_text(encoding="utf-8"))
    for folder, subfolders, names in os.walk(root):
        here = Path(folder)
        if here == root:
            # What is in the others is not looked at: an environment has 100,000 files.
            subfolders[:] = [name for name in subfolders if _passes(PurePosixPath(name), patterns)]
        for name in names:
            path = PurePosixPath((here / name).relative_to(root).as_posix())
            if _passes(path, patterns):
                yield path


def copy(root: Path, destination: Path) -> None:
    """Copies those files.

    Args:
        root: the folder with the `.dockerignore`.
        destination: a new folder.
    """
    destination.mkdir(parents=True)
    for path in files(root):
        target = destination / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, target)


def _patterns(text: str) -> list[tuple[bool, re.Pattern[str]]]:
    """Whether what a line covers is let through, and what it covers."""
    lines = [line.strip() for line in text.splitlines()]
    rules = [line for line in lines if line and not line.startswith("#")]
    return [(rule.startswith("!"), _pattern(rule.removeprefix("!"))) for rule in rules]


def _pattern(rule: str) -> re.Pattern[str]:
    text = re.escape(rule.strip("/")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
    return re.compile(text)


def _passes(path: PurePosixPath, patterns: list[tuple[bool, re.Pattern[str]]]) -> bool:
    covered = [str(part) for part in (path, *path.parents)]
    decisions = [
        lets_through
        for lets_through, pattern in patterns
        if any(pattern.fullmatch(part) for part in covered)
    ]
    return decisions[-1] if decisions else True
