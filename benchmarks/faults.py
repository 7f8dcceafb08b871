"""Commands of this project that are left alone, killed, or run out of disk."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.config.errors import LINE_START

_ROOT: Final = Path(__file__).parents[1]
_KIB: Final = 1024

# A file system of its own that needs no rights: only these processes see it. The workspace is
# copied onto it, and what is left afterwards back.
_ON_SMALL_DISK: Final = """
mount -t tmpfs -o size={kib}k none {disk} && cp -a {workspace}/. {disk} || exit 99
{command}
code=$?
cp -a {disk} {left} || exit 99
exit $code
"""


@dataclass(frozen=True)
class Ended:
    """A command that ended.

    Attributes:
        code: Exit code; None if it was killed.
        line: Error that the command printed, or else the last line on standard error.
        seconds: Wall time.
    """

    code: int | None
    line: str
    seconds: float


def command(workspace: Path, *arguments: str) -> list[str]:
    """Returns the command line of a command of this project in a workspace."""
    name, *others = arguments
    return [sys.executable, "-m", "movierec", name, "--workspace", str(workspace), *others]


def run(line: Sequence[str], kill_after: float | None = None) -> Ended:
    """Runs a command line, and kills it with all of its processes if it takes too long.

    Args:
        line: Program and arguments.
        kill_after: Seconds until it is killed; None to let it end.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            line, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
        try:
            code: int | None = process.wait(kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
        seconds = time.perf_counter() - started
        errors.seek(0)
        printed = errors.read().strip().split("\n")
        own = [text for text in printed if text.startswith(LINE_START)]
        return Ended(code, (own or printed)[-1], seconds)


def run_on_full_disk(
    workspace: Path, spare_kib: int, line: Callable[[Path], Sequence[str]]
) -> Ended:
    """Runs a command line in a workspace whose disk is full after a few more files.

    Args:
        workspace: Workspace. What the command leaves takes its place.
        spare_kib: Room for new files, in KiB.
        line: Function that returns the command line for the workspace on the small disk.

    Raises:
        SystemExit: This machine lets nobody mount a file system of their own.
    """
    with tempfile.TemporaryDirectory() as folder:
        disk, left = Path(folder, "disk"), Path(folder, "left")
        disk.mkdir()
        script = _ON_SMALL_DISK.format(
            kib=disk_kib(workspace) + spare_kib,
            disk=shlex.quote(str(disk)),
            workspace=shlex.quote(str(workspace)),
            command=shlex.join(line(disk)),
            left=shlex.quote(str(left)),
        )
        ended = run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script])
        if not left.exists():
            raise SystemExit(f"no disk of a fixed size can be had here: {ended.line}")
        shutil.rmtree(workspace)
        shutil.move(left, workspace)
        return ended


def disk_kib(folder: Path) -> int:
    """Returns the KiB on the disk of a folder, with whole blocks for each file."""
    entries = [folder, *folder.rglob("*")]
    return sum(entry.lstat().st_blocks * 512 for entry in entries) // _KIB
