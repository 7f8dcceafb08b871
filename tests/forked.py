"""Processes that have imported everything when they start: forks of one that did so once.

They are what a process of `python -m MODULE` is, without the seconds of its imports. A test of how
a program starts, or of what it imports, starts Python itself.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.preloaded"])


class Forked:
    """A running `python -m MODULE`.

    Attributes:
        returncode: The exit code, less than 0 if a signal ended it; None while it runs.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._process = _CONTEXT.Process(
            target=_run,
            args=(module, [*arguments], dict(env or os.environ), os.getcwd(), self._folder.name),
        )
        self._process.start()
        # multiprocessing would wait for it at the end of an interrupted session.
        atexit.register(self._process.kill)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def communicate(self) -> tuple[str, str]:
        """Waits for the end, and returns standard output and standard error."""
        self.wait()
        with self._folder:
            folder = Path(self._folder.name)
            # A process that was killed at once has no files.
            out, err = (
                path.read_text("utf-8") if path.exists() else ""
                for path in (folder / "out", folder / "err")
            )
        return out, err

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> None:
        self._process.join()


def run(
    module: str, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `python -m MODULE` to its end."""
    process = Forked(module, arguments, env)
    out, err = process.communicate()
    assert process.returncode is not None
    return subprocess.CompletedProcess([module, *arguments], process.returncode, out, err)


def _run(module: str, arguments: list[str], env: dict[str, str], cwd: str, folder: str) -> None:
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, f"{folder}/out", os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, f"{folder}/err", os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        opened = os.open(name, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    # Chosen from the environment when first asked for.
    tempfile.tempdir = None
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
