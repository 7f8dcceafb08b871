"""The table of a year of weekly runs, and how an interrupted year goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import typer

from benchmarks import weekly_runs as year
from benchmarks.weekly_runs import Outcome
from tests.benchmarks.rendering import rows

FRESH = Outcome(4, "fresh", "pushed", "", 44_615, 0.91, None, False, 20, 10.0, 60.0, 90.0)
WARM = replace(FRESH, policy="warm", rmse=0.90, warm=True, epochs=8, trainer_seconds=5.0)


def test_each_week_has_a_row_and_each_policy_its_mean() -> None:
    later = [
        replace(FRESH, week=8, rmse=0.89, epochs=21),
        replace(WARM, week=8, verdict="refused", reason="too high", epochs=9),
    ]
    _, first, second, mean = rows(year.as_table([FRESH, WARM, *later]))
    assert first[:7] == ["4", "44,615", "0.9100", "", "20", "10.0", "60"]
    assert first[8:11] == ["0.9000", "", "8"]
    assert second[-1] == "refused: too high"
    assert mean[2] == "0.9000"
    assert mean[4] == "20.5"
    assert mean[7] == "2 of 2 pushed"
    assert mean[10] == "8.5"
    assert mean[-1] == "1 of 2 pushed"


def test_a_run_that_stopped_has_no_figures_and_counts_for_none() -> None:
    stopped = replace(FRESH, week=8, verdict="stopped", reason="no space", rmse=None)
    _, _, second, mean = rows(year.as_table([FRESH, stopped]))
    assert second[2:6] == ["", "", "", ""]
    assert second[-1] == "stopped: no space"
    assert (mean[2], mean[-1]) == ("0.9100", "1 of 2 pushed")


def test_a_warm_run_that_began_cold_says_so() -> None:
    _, row, _ = rows(year.as_table([replace(WARM, warm=False)]))
    assert row[4] == "8 cold"


def test_a_year_that_is_done_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps(asdict(outcome)) + "\n" for outcome in (FRESH, WARM)]
    (tmp_path / "outcomes.jsonl").write_text("".join(lines))
    year.main(tmp_path, weeks=4, every=4, start=0.4, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert [Outcome(**outcome) for outcome in shown] == [FRESH, WARM]
    assert [entry.name for entry in tmp_path.iterdir()] == ["outcomes.jsonl"]


def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="--policy cold: expected fresh or warm"):
        year.main(tmp_path, policies=["cold"])
