"""Reads a Dockerfile."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.config.errors import UserError

_CONTINUED: Final = re.compile(r"\\\n")
_COMMENT: Final = re.compile(r"^\s*#.*\n", re.MULTILINE)
_FROM_STAGE: Final = "--from="
_FROM: Final = re.compile(r"(?P<base>\S+)(\s+AS\s+(?P<name>\S+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Instruction:
    """A line, with those that continue it.

    Attributes:
        keyword: in capitals, such as `RUN`.
        text: what follows.
    """

    keyword: str
    text: str

    def pairs(self) -> dict[str, str]:
        """The variables of an `ENV`, with their values as they are written."""
        return dict(_pair(entry) for entry in shlex.split(self.text))

    def words(self) -> list[str]:
        """The words of a list in JSON, as `ENTRYPOINT` has it."""
        words: list[str] = json.loads(self.text)
        return words


@dataclass(frozen=True)
class Copy:
    """What a `COPY` copies.

    Attributes:
        stage: whose files; None for the context's.
        sources: files and folders.
        destination: a file, or a folder.
    """

    stage: str | None
    sources: tuple[str, ...]
    destination: str

    @classmethod
    def parse(cls, text: str) -> Copy:
        """Reads what follows the keyword."""
        words = text.split()
        stage = words.pop(0).removeprefix(_FROM_STAGE) if words[0].startswith(_FROM_STAGE) else None
        return cls(stage, tuple(words[:-1]), words[-1])


@dataclass(frozen=True)
class Stage:
    """What makes one file system.

    Attributes:
        base: an image, or an earlier stage.
        name: None for the last one, which is the image.
        instructions: what follows the `FROM`.
    """

    base: str
    name: str | None
    instructions: tuple[Instruction, ...]

    def all(self, keyword: str) -> list[str]:
        """What follows a keyword, each time that it is there."""
        return [line.text for line in self.instructions if line.keyword == keyword]


def read(path: Path) -> tuple[Stage, ...]:
    """The stages of a Dockerfile.

    Raises:
        UserError: it does not begin with a `FROM`.
        OSError: it cannot be read.
    """
    text = _CONTINUED.sub(" ", _COMMENT.sub("", path.read_text(encoding="utf-8")))
    stages: list[tuple[str, str | None, list[Instruction]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, rest = line.partition(" ")
        rest = " ".join(rest.split()) if keyword != "RUN" else rest.strip()
        if keyword == "FROM" and (found := _FROM.fullmatch(rest)):
            stages.append((found["base"], found["name"], []))
        elif stages:
            stages[-1][2].append(Instruction(keyword, rest))
        else:
            raise UserError(f"{path}: {line}: expected FROM IMAGE before anything else")
    return tuple(Stage(base, name, tuple(lines)) for base, name, lines in stages)


def _pair(entry: str) -> tuple[str, str]:
    name, _, value = entry.partition("=")
    return name, value
