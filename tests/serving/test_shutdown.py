from __future__ import annotations

import subprocess
import sys

CODE = """
import threading
from concurrent.futures import ThreadPoolExecutor
from serving.shutdown import end_process_after
never = threading.Event()
ThreadPoolExecutor(1).submit(never.wait)
timer = end_process_after({seconds}, exit_code=7)
{more}
"""


def exit_code(seconds: float, more: str = "") -> int:
    code = CODE.format(seconds=seconds, more=more)
    return subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode


def test_a_process_whose_threads_never_end_is_ended() -> None:
    assert exit_code(0.1) == 7


def test_a_timer_that_is_cancelled_ends_nothing() -> None:
    assert exit_code(0.1, "timer.cancel(); timer.join(); never.wait(0.3); never.set()") == 0


def test_a_process_that_ends_by_itself_is_not_waited_for() -> None:
    assert exit_code(3600, "never.set()") == 0
