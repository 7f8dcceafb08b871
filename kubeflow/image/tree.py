"""Carries out a Dockerfile's instructions in a folder."""

from __future__ import annotations

import os
import shutil
import string
import subprocess
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from kubeflow.image.dockerfile import Copy, Instruction, Stage
from pipeline.config.errors import UserError

# What an image of Debian finds programs in.
_BASE_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
# Of the one who builds; would change which environment is built.
_FOREIGN: Final = ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Image:
    """What a container starts with.

    Attributes:
        environment: all its variables.
        entrypoint: its command.
        folder: where the command starts.
    """

    environment: Mapping[str, str]
    entrypoint: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Tree:
    """A folder in the place of the file systems of all stages.

    Attributes:
        root: the folder.
        scratch: a folder in the place of `/tmp`.
        context: the folder that `COPY` copies from.
        log: a file for what the commands print.
        say: is told of each instruction that is carried out.
    """

    root: Path
    scratch: Path
    context: Path
    log: Path
    say: Callable[[str], None]

    def here(self, path: str) -> Path:
        """The place of an absolute path of the image."""
        _, *parts = PurePosixPath(path).parts
        if parts[:1] == ["tmp"]:
            return self.scratch.joinpath(*parts[1:])
        return self.root.joinpath(*parts)

    def build(self, stages: tuple[Stage, ...], skipped: str, arguments: Mapping[str, str]) -> Image:
        """Carries out every stage.

        Not carried out are the commands of the last one, which change the image's system.

        Args:
            stages: the last one is the image.
            skipped: the stage that installs what this machine has: of it only the folder counts.
            arguments: values for `ARG`s.

        Raises:
            UserError: a file is missing, or a command fails.
        """
        states: dict[str | None, _State] = {}
        for stage in stages:
            state = states.get(stage.base, _State({"PATH": _BASE_PATH}, "/", ())).copy()
            for line in stage.instructions:
                if stage.name != skipped or line.keyword == "WORKDIR":
                    self._carry_out(line, state, arguments, stage.name is None)
            states[stage.name] = state
        image = states[None]
        return Image(image.environment, image.entrypoint, self.here(image.folder))

    def _carry_out(
        self, line: Instruction, state: _State, arguments: Mapping[str, str], last: bool
    ) -> None:
        match line.keyword:
            case "ARG":
                name, given, default = line.text.partition("=")
                if given:
                    state.environment[name] = arguments.get(name, default)
            case "ENV":
                values = {k: self._value(v, state) for k, v in line.pairs().items()}
                state.environment.update(values)
            case "WORKDIR":
                state.folder = line.text
                self.here(line.text).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(line.text, state)
            case "RUN" if not last:
                self._run(line.text, state)
            case "RUN" | "USER":
                self.say(f"left out, of the image's system: {line.keyword} {_line(line.text)}")
            case "ENTRYPOINT":
                state.entrypoint = tuple(line.words())
            case unknown:
                raise UserError(f"{unknown} {_line(line.text)}: not known here; use another")

    def _value(self, text: str, state: _State) -> str:
        """The value of a variable, with this machine's paths."""
        places = [
            str(self.here(part)) if part.startswith("/") else part for part in text.split(":")
        ]
        return _expanded(":".join(places), state)

    def _copy(self, text: str, state: _State) -> None:
        copied = Copy.parse(_expanded(text, state))
        self.say(f"COPY {text}")
        folder = self.here(state.folder)
        given = copied.destination
        destination = self.here(given) if given.startswith("/") else folder / given
        for name in copied.sources:
            source = self.here(name) if copied.stage else self.context / name
            if source.is_dir():
                if source != destination:
                    shutil.copytree(source, destination, symlinks=True, dirs_exist_ok=True)
            elif source.is_file():
                shutil.copy2(source, destination)
            else:
                raise UserError(f"COPY {text}: {name} is missing, or .dockerignore keeps it out")

    def _run(self, command: str, state: _State) -> None:
        self.say(f"RUN {_line(command)}")
        own = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        added = {name: value for name, value in state.environment.items() if name != "PATH"}
        with self.log.open("ab") as log:
            start = log.tell()
            result = subprocess.run(
                ["/bin/sh", "-c", command],
                check=False,
                cwd=self.here(state.folder),
                env=own | added,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if result.returncode:
            said = last_line(self.log.read_bytes()[start:].decode(errors="replace"))
            raise UserError(
                f"RUN {_line(command)}: exit code {result.returncode}: {said}; all that "
                f"it says is in {self.log}"
            )


def last_line(text: str) -> str:
    """What a program has said last."""
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "it says nothing"


def _line(text: str) -> str:
    """A text of several lines as one."""
    return " ".join(text.split())


def _expanded(text: str, state: _State) -> str:
    """A text with the values of the variables in it; one without a value is empty."""
    return string.Template(text).substitute(defaultdict(str, state.environment))


@dataclass
class _State:
    """What the instructions so far have set; paths in `environment` are this machine's."""

    environment: dict[str, str]
    folder: str
    entrypoint: tuple[str, ...]

    def copy(self) -> _State:
        return _State(dict(self.environment), self.folder, self.entrypoint)
