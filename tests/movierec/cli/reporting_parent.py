"""A process that works while another writes the report on a run: WHAT FOLDER [broken].

What the page would be is a function of this file, so that it can fail, be killed, or take long.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

from movierec.cli.report import write_report_beside
from movierec.report import REPORT_FILE
from pipeline.workspace import Workspace

RUN = "20260131-120000"


def whole(folder: Path) -> Path:
    # Only if both work at once does the parent's file appear before this one has ended.
    while not (folder / "shown").exists():
        time.sleep(0.01)
    path = folder / "runs" / RUN / REPORT_FILE
    path.write_text("the page")
    return path


def failing(_: Path) -> Path:
    raise ValueError("no such chart")


def killed(_: Path) -> Path:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def endless(folder: Path) -> Path:
    try:
        (folder / "pid.new").write_text(str(os.getpid()))
        (folder / "pid.new").rename(folder / "pid")
        time.sleep(600)
    finally:
        (folder / "told").touch()
    raise AssertionError


PAGES: dict[str, Callable[[Path], Path]] = {
    page.__name__: page for page in (whole, failing, killed, endless)
}


def main() -> None:
    page, folder = PAGES[sys.argv[1]], Path(sys.argv[2])
    (folder / "runs" / RUN).mkdir(parents=True)
    module = ModuleType("movierec.report.page")
    module.write = lambda *_: page(folder)
    sys.modules[module.__name__] = sys.modules["movierec.report"].page = module

    def show() -> None:
        print("the table", flush=True)
        (folder / "shown").touch()
        if "broken" in sys.argv:
            raise BrokenPipeError

    print(write_report_beside(Workspace(folder), SimpleNamespace(run_id=RUN), show))


if __name__ == "__main__":
    main()
