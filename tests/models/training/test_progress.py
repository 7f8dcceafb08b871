import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console

from models.training.progress import Progress, current_report, reporting

HALF = Progress(
    epoch=3,
    epochs=5,
    fraction_of_epoch=0.5,
    loss=0.81234,
    criterion="RMSE",
    eval_figure=0.93125,
    ratings_per_second=1_400_000,
    seconds_left=75.2,
)


def test_a_line_says_all_that_is_known() -> None:
    assert str(HALF) == (
        "epoch 3/5 50%  loss 0.8123  eval RMSE 0.9313  1.40 M ratings/s  0:01:15 left"
    )


def test_a_bar_shows_how_much_of_all_epochs_is_done() -> None:
    assert HALF.fraction == 0.5
    console = Console(width=120, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(HALF)
    bar, _, text = capture.get().rstrip().partition(" ")
    assert bar.count("━") == 8
    assert text.strip() == str(HALF)


def test_whoever_is_given_is_told_before_whoever_is_current() -> None:
    given: list[Progress] = []
    current: list[Progress] = []
    token = current_report.set(current.append)
    try:
        with reporting(given.append) as report:
            report(HALF)
        with reporting(None) as report:
            report(HALF)
    finally:
        current_report.reset(token)
    assert given == current == [HALF]


def test_without_a_terminal_an_epoch_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    ended = Progress(3, 5, 1.0, 0.8, "RMSE", None, 1e6, 60)
    with reporting(None) as report:
        report(HALF)
        report(ended)
    assert capsys.readouterr().err == f"{ended}\n"


def test_on_a_terminal_there_is_a_bar() -> None:
    code = (
        "from models.training.progress import Progress, reporting\n"
        "with reporting(None) as report:\n"
        "    report(Progress(3, 5, 0.5, 0.8, 'RMSE', None, 1e6, 60))\n"
    )
    terminal, seen_by_the_process = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=seen_by_the_process, check=True)
    shown = os.read(terminal, 65_536).decode()
    os.close(seen_by_the_process)
    os.close(terminal)
    assert "━" in shown
    assert "epoch 3/5 50%" in shown
