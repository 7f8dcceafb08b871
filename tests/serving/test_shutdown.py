from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from serving.shutdown import handle_stop_signals

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_end_is_handled_inside_the_block(number: signal.Signals) -> None:
    received: list[int] = []
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with handle_stop_signals(lambda number, _: received.append(number)):
            signal.raise_signal(number)
        assert received == [number]
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_under_nohup_the_end_of_the_terminal_is_none_of_the_process() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle_stop_signals(lambda number, _: received.append(number)):
            signal.raise_signal(signal.SIGHUP)
        assert received == []
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
