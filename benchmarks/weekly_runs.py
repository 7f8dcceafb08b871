"""Runs every week for a year on one more span of real ratings: fresh, and from the last model.

    .venv/bin/python -m benchmarks.weekly_runs FOLDER [--policy fresh --policy warm] [--every 4]

The ratings of MovieLens-100K lie in a folder for each week, by time. Each run is a `movierec run`
of its own process on all spans so far, in a workspace for each policy. The same command with the
same folder continues a year that was interrupted.
"""

from __future__ import annotations

import json
import resource
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import faults
from benchmarks.ratings_by_week import EDITION, WEEKS, RatingsByWeek
from pipeline import summary
from pipeline.workspace import Workspace

FRESH: Final = "fresh"
WARM: Final = "warm"
_SETTINGS: Final = {FRESH: "training.warm_start=false", WARM: "training.warm_start=true"}

_VERDICTS: Final = {0: "pushed", 1: "stopped", 2: "refused"}
_STOPPED: Final = 1


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        week: Number of the week, from 1.
        policy: `fresh` or `warm`.
        verdict: `pushed`, `refused`, or `stopped` (with an error).
        reason: Error or reason of the refusal; empty if the model was pushed.
        ratings: Ratings that the run read.
        rmse: Holdout RMSE; None if the run stopped, or the model predicts no ratings.
        ndcg: Holdout NDCG@10; None if the run stopped, or the model does not retrieve.
        warm: Whether the training started from the last model's weights.
        epochs: Epoch that early stopping chose.
        trainer_seconds: Wall time of the Trainer.
        cpu_seconds: Processor time of the whole run.
        seconds: Wall time of the whole run.
    """

    week: int
    policy: str
    verdict: str
    reason: str
    ratings: int
    rmse: float | None
    ndcg: float | None
    warm: bool
    epochs: int
    trainer_seconds: float
    cpu_seconds: float
    seconds: float


class Year:
    """Spans and a workspace for each policy, and what became of the runs."""

    def __init__(self, folder: Path, start: float, settings: Sequence[str]) -> None:
        """Opens a year, which may be under way.

        Args:
            folder: Folder of the year.
            start: Share of the ratings that is in the first week's span, beside its own.
            settings: Configuration for each run, as SECTION.KEY=VALUE.
        """
        self._folder = folder
        self._log = folder / "outcomes.jsonl"
        self._ratings = RatingsByWeek(start)
        self._settings = settings
        folder.mkdir(parents=True, exist_ok=True)

    def outcomes(self) -> list[Outcome]:
        """Returns what became of the runs so far."""
        if not self._log.exists():
            return []
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [Outcome(**json.loads(line)) for line in lines]

    def run(self, week: int, policy: str) -> Outcome:
        """Runs on the spans up to a week, and writes down what became of it.

        Args:
            week: Number of the week, from 1.
            policy: `fresh` or `warm`.
        """
        # Apart from the other policy's, which may be weeks ahead.
        spans = self._folder / policy / "data"
        for number in range(1, week + 1):
            span = spans / f"{number:02}"
            if not span.exists():
                self._ratings.write_span(span, number)
        settings = [
            f"data.dataset={EDITION}",
            f"data.path={spans}/{{SPAN:2}}",
            _SETTINGS[policy],
            *self._settings,
        ]
        workspace = Workspace(self._folder / policy / "workspace")
        options = [option for setting in settings for option in ("--set", setting)]
        before = _cpu_seconds()
        ended = faults.run(faults.command(workspace.root, "run", *options))
        outcome = _outcome(week, policy, ended, workspace, _cpu_seconds() - before)
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(outcome)) + "\n")
        return outcome


def _outcome(
    week: int, policy: str, ended: faults.Ended, workspace: Workspace, cpu_seconds: float
) -> Outcome:
    code = _STOPPED if ended.code is None else ended.code
    done = None if code == _STOPPED else next(summary.newest_first(workspace))
    return Outcome(
        week=week,
        policy=policy,
        verdict=_VERDICTS[code],
        reason=ended.line if done is None else done.refusal or "",
        ratings=0 if done is None else done.rows.read,
        rmse=None if done is None or done.rmse is None else done.rmse.holdout,
        ndcg=None if done is None or done.ranking is None else done.ranking.ndcg_at_10,
        warm=done is not None and (done.warm_start or "").startswith(WARM),
        epochs=0 if done is None else done.best_epoch,
        trainer_seconds=0.0 if done is None else done.seconds["Trainer"],
        cpu_seconds=cpu_seconds,
        seconds=ended.seconds,
    )


def _cpu_seconds() -> float:
    """Returns the processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def as_table(outcomes: Sequence[Outcome]) -> Table:
    """Returns a table with a row for each week, and the means at the end.

    Args:
        outcomes: Outcomes of all policies.
    """
    policies = list(dict.fromkeys(outcome.policy for outcome in outcomes))
    by_run = {(outcome.week, outcome.policy): outcome for outcome in outcomes}
    weeks = sorted({outcome.week for outcome in outcomes})
    table = Table("week", "ratings")
    for policy in policies:
        for heading in ("RMSE", "NDCG@10", "epochs", "Trainer s", "CPU s", "verdict"):
            table.add_column(f"{policy} {heading}")
    for week in weeks:
        runs = [by_run.get((week, policy)) for policy in policies]
        ratings = max(run.ratings for run in runs if run)
        table.add_row(str(week), f"{ratings:,}", *(cell for run in runs for cell in _cells(run)))
    table.add_section()
    means = [
        cell
        for policy in policies
        for cell in _means([outcome for outcome in outcomes if outcome.policy == policy])
    ]
    table.add_row("mean", "", *means)
    return table


def _cells(run: Outcome | None) -> tuple[str, ...]:
    if run is None:
        return ("",) * 6
    verdict = run.verdict if not run.reason else f"{run.verdict}: {run.reason}"
    if run.verdict == _VERDICTS[_STOPPED]:
        return "", "", "", "", f"{run.cpu_seconds:.0f}", verdict
    return (
        _figure(run.rmse),
        _figure(run.ndcg),
        f"{run.epochs}{'' if run.warm else ' cold'}" if run.policy == WARM else str(run.epochs),
        f"{run.trainer_seconds:.1f}",
        f"{run.cpu_seconds:.0f}",
        verdict,
    )


def _means(runs: Sequence[Outcome]) -> tuple[str, ...]:
    """Returns the means over the runs that reached their end, and the number of pushed ones."""
    ended = [run for run in runs if run.verdict != _VERDICTS[_STOPPED]]
    pushed = sum(run.verdict == _VERDICTS[0] for run in runs)

    def mean(of: Callable[[Outcome], float | None]) -> float | None:
        values = [value for run in ended if (value := of(run)) is not None]
        return statistics.fmean(values) if values else None

    return (
        _figure(mean(lambda run: run.rmse)),
        _figure(mean(lambda run: run.ndcg)),
        _figure(mean(lambda run: run.epochs), 1),
        _figure(mean(lambda run: run.trainer_seconds), 1),
        _figure(mean(lambda run: run.cpu_seconds), 0),
        f"{pushed} of {len(runs)} pushed",
    )


def _figure(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of the year; it may be under way.")],
    policies: Annotated[
        list[str] | None, typer.Option("--policy", help="fresh or warm; both if none.")
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, max=WEEKS, help="Number of weeks.")] = WEEKS,
    every: Annotated[int, typer.Option(min=1, help="Weeks from one run to the next.")] = 1,
    start: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the ratings before the first week.")
    ] = 0.4,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Configuration as SECTION.KEY=VALUE.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run every week for a year on one more span of ratings, fresh and warm."""
    asked = policies or [*_SETTINGS]
    if unknown := set(asked) - set(_SETTINGS):
        raise typer.BadParameter(f"--policy {', '.join(sorted(unknown))}: expected fresh or warm")
    console = Console(stderr=True)
    year = Year(folder.resolve(), start, settings or [])
    done = {(outcome.week, outcome.policy) for outcome in year.outcomes()}
    for week in range(every, weeks + 1, every):
        for policy in asked:
            if (week, policy) not in done:
                outcome = year.run(week, policy)
                console.print(f"week {week}: {policy}: {outcome.verdict} {outcome.reason}")
    outcomes = year.outcomes()
    if as_json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        Console(width=200).print(as_table(outcomes))


if __name__ == "__main__":
    typer.run(main)
