"""A process that runs steps in forked processes: WHAT FOLDER.

A step writes its process id into a file of its name, so that a test can look after it.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from models.training.progress import Progress, current_report
from pipeline.step_failure import explain
from pipeline.step_processes import StepProcesses

PROGRESS = Progress(1, 2, 0.5, 0.25, "RMSE", None, 1e6, 3.0)


def write(path: Path, text: str) -> None:
    """Makes a file that is whole once it is there."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def make_temporary(name: str) -> None:
    """Makes a temporary file that nobody removes."""
    descriptor, _ = tempfile.mkstemp(prefix=f"left-by-{name}-")
    os.close(descriptor)


def await_end(folder: Path, name: str) -> bool:
    """Runs until it is told to end, and notes that."""
    try:
        make_temporary(name)
        write(folder / name, str(os.getpid()))
        time.sleep(600)
    finally:
        write(folder / f"{name}-told", "")
    return False


def await_other(folder: Path, name: str) -> None:
    while not (folder / name).exists():
        time.sleep(0.01)


def train(_: Path) -> bool:
    report = current_report.get()
    assert report is not None
    report(PROGRESS)
    return False


def cached(_: Path) -> bool:
    make_temporary("cached")
    return True


def fail(folder: Path) -> bool:
    await_other(folder, "endless")
    raise ValueError("no good")


def be_killed(folder: Path) -> bool:
    await_other(folder, "endless")
    make_temporary("be_killed")
    os.kill(os.getpid(), signal.SIGKILL)
    return False


def abort(folder: Path) -> bool:
    """As C++ does where it finds no memory."""
    await_other(folder, "endless")
    os.abort()


def endless(folder: Path) -> bool:
    return await_end(folder, "endless")


def another(folder: Path) -> bool:
    return await_end(folder, "another")


STEPS: dict[str, Callable[[Path], bool]] = {
    step.__name__: step for step in (train, cached, fail, be_killed, abort, endless, another)
}


def main() -> None:
    names, folder = sys.argv[1].split(","), Path(sys.argv[2])
    with StepProcesses() as processes:
        for name in names:
            processes.start(
                name,
                lambda step=STEPS[name]: step(folder),
                partial(explain, step=name, folder=folder),
            )
        while len(processes):
            for name, message in processes.news(None):
                print(name, message, flush=True)
                if "Failed" in type(message).__name__:
                    sys.exit(1)


if __name__ == "__main__":
    main()
