"""The report of a backtest on terminals of any width."""

import pytest

from movierec.cli import backtest
from pipeline.backtest.report import BacktestReport, Week, advice, summed


def report_of(rmse: float | None) -> BacktestReport:
    weeks = [
        Week(week=f"2001-09-{day}", ratings=120, trained=True, blessed=day == 30, rmse=rmse,
             reasons=() if day == 30 else ("RMSE 1.2 is above gate.max_rmse 1",), epochs=4,
             seconds=2.0, ndcg=None)
        for day in (23, 30)
    ]  # fmt: skip
    policies = tuple(summed("biased_mf", name, weeks) for name in ("fresh", "warm", "fresh/4"))
    return BacktestReport(dataset="csv", policies=policies, advice=tuple(advice(policies)))


@pytest.mark.parametrize("columns", [80, 200])
def test_no_figure_is_cut(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    backtest._show(report_of(0.9876))
    shown = capsys.readouterr().out
    assert "\u2026" not in shown
    assert shown.count("0.9876") == 9
    # Policies stand beside each other where they fit.
    assert shown.count("biased_mf on csv") == (3 if columns == 80 else 1)
    assert "biased_mf: warm of 2001-09-23 refused: RMSE 1.2 is above gate.max_rmse 1" in shown


def test_a_line_of_advice_has_the_figures_that_there_are() -> None:
    assert report_of(None).advice == (
        "biased_mf: warm instead of fresh takes 100% of the seconds and 100% of the epochs",
        "biased_mf: fresh/4 instead of fresh takes 100% of the seconds and 100% of the epochs",
    )
