"""The command line in this process, for what a subprocess could not be given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import pytest

from movierec.cli import app as cli


@dataclass
class Ended:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Movierec = Callable[..., Ended]


def interrupted(_: float) -> NoReturn:
    """In place of `time.sleep`: Ctrl-C, also where whoever runs the tests has SIGINT ignored."""
    raise KeyboardInterrupt


def caller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Movierec:
    def call(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["movierec", *arguments])
        # What the test itself made a library say is not the command's.
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return call
