"""Retrains every week for a year on real ratings, with poisoned weeks, kills and a full disk.

    .venv/bin/python -m benchmarks.simulated_year FOLDER [--weeks 52] [--golden-set 1000] [--json]

Each week is a `movierec run` of its own process, in one workspace, on the ratings of MovieLens-100K
up to that week. Before the run of some weeks something goes wrong. The same command with the same
folder continues a year that was interrupted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import faults
from benchmarks.poisonings import MUCH, POISONINGS
from benchmarks.ratings_by_week import EDITION, WEEKS, RatingsByWeek
from serving.defaults import DEFAULT_MODEL
from serving.version_pin import served_version

_KILLS: Final = 4
_WEEKS_PER_MONTH: Final = 4
# Weeks before the first fault, so that there is something to compare with and to go back to.
_CALM_WEEKS: Final = 2
# A run that is killed has done between this and all of its work.
_EARLIEST_KILL: Final = 0.1
# A run of these ratings writes about 20 MiB.
_SPARE_KIB: Final = (500, 15_000)
_KIB_PER_MIB: Final = 1024

GOOD: Final = "good week"
KILL: Final = "killed"
FULL_DISK: Final = "full disk"
ROLLBACK: Final = "rollback"
PRUNE: Final = "prune"

_VERDICTS: Final = {0: "pushed", 1: "stopped", 2: "refused", None: "killed"}


@dataclass(frozen=True)
class Event:
    """Something that happens in a week.

    Attributes:
        week: Number of the week, from 1.
        name: One of the constants above, or the name of a poisoning.
        draw: Random number in [0, 1), which says when a kill strikes, or how full the disk is.
    """

    week: int
    name: str
    draw: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What became of an event.

    Attributes:
        week: Number of the week.
        event: Name of the event.
        verdict: `pushed`, `refused`, `stopped` (with an error) or `killed`; `done` for commands
            other than runs.
        reason: Last line on standard error.
        served: Version that is served afterwards; None if there is none.
        rmse: RMSE of that version on the clean holdout of the week before.
        disk_mib: Size of the workspace, in MiB.
        seconds: Wall time of the command.
    """

    week: int
    event: str
    verdict: str
    reason: str
    served: int | None
    rmse: float | None
    disk_mib: float
    seconds: float


@dataclass(frozen=True)
class Counts:
    """What must be, and what was.

    Attributes:
        poisoned: Runs on ratings of which a share of `MUCH` or more was poisoned.
        poisoned_pushed: Those of them whose model was pushed.
        slightly_poisoned: Runs on ratings that were poisoned by less.
        slightly_poisoned_pushed: Those of them whose model was pushed.
        good: Weeks with clean ratings.
        good_refused: Those of them whose model was not pushed.
        kept_out_by_rollback: Those of them that a rollback kept out.
        largest_disk_mib: Largest size of the workspace.
    """

    poisoned: int
    poisoned_pushed: int
    slightly_poisoned: int
    slightly_poisoned_pushed: int
    good: int
    good_refused: int
    kept_out_by_rollback: int
    largest_disk_mib: float


class Year:
    """A workspace, the folder of its ratings, and what happened so far."""

    def __init__(
        self, folder: Path, start: float, seed: int, golden: int, options: Sequence[str]
    ) -> None:
        """Opens a year, which may be under way.

        Args:
            folder: Folder of the year.
            start: Share of the ratings that is there before the first week.
            seed: Seed of the poisonings.
            golden: Number of ratings in the golden set; 0 for none.
            options: Options for each run.
        """
        self._workspace = folder / "workspace"
        self._data = folder / "data"
        self._log = folder / "outcomes.jsonl"
        self._ratings = RatingsByWeek(start)
        self._seed = seed
        self._options = ["--set", f"data.dataset={EDITION}", "--set", f"data.path={self._data}"]
        self._options += options
        folder.mkdir(parents=True, exist_ok=True)
        if golden:
            trusted = folder / "golden"
            self._ratings.write_golden_set(trusted, golden, seed)
            self._options += ["--set", f"gate.golden_set={trusted}"]

    def outcomes(self) -> list[Outcome]:
        """Returns what happened so far."""
        if not self._log.exists():
            return []
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [Outcome(**json.loads(line)) for line in lines]

    def live(self, event: Event, keep: int) -> Outcome:
        """Makes an event happen, and writes down what became of it.

        Args:
            event: Event.
            keep: Number of versions and runs that are kept at the end of a month.
        """
        if event.name == ROLLBACK:
            ended = self._command("rollback", "--reason", "complaints")
        elif event.name == PRUNE:
            ended = self._command("prune", "--keep", str(keep))
        else:
            ended = self._run(event)
        verdict = _VERDICTS[ended.code]
        served = self._served()
        outcome = Outcome(
            week=event.week,
            event=event.name,
            verdict="done" if event.name in (ROLLBACK, PRUNE) and not ended.code else verdict,
            reason=ended.line if ended.code else "",
            served=None if served is None else int(served.name),
            rmse=None if served is None else self._rmse(served, max(1, event.week - 1)),
            disk_mib=round(faults.disk_kib(self._workspace) / _KIB_PER_MIB, 1),
            seconds=round(ended.seconds, 1),
        )
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(asdict(outcome)) + "\n")
        return outcome

    def _run(self, event: Event) -> faults.Ended:
        stars = None
        if event.name in POISONINGS:
            ratings = self._ratings.until(event.week)
            stars = POISONINGS[event.name].change(
                ratings["user_id"].to_numpy(),
                ratings["rating"].to_numpy(),
                np.random.default_rng((self._seed, event.week)),
            )
        self._ratings.write(self._data, event.week, stars)
        if event.name == FULL_DISK:
            spare = round(_SPARE_KIB[0] + event.draw * (_SPARE_KIB[1] - _SPARE_KIB[0]))
            return faults.run_on_full_disk(self._workspace, spare, self._training)
        kill_after = None
        if event.name == KILL:
            took = next(o.seconds for o in reversed(self.outcomes()) if o.event == GOOD)
            kill_after = took * (_EARLIEST_KILL + event.draw * (1 - _EARLIEST_KILL))
        return faults.run(self._training(self._workspace), kill_after)

    def _training(self, workspace: Path) -> list[str]:
        return faults.command(workspace, "run", *self._options)

    def _command(self, *arguments: str) -> faults.Ended:
        return faults.run(faults.command(self._workspace, *arguments))

    def _served(self) -> Path | None:
        return served_version(self._workspace / "serving" / DEFAULT_MODEL)

    def _rmse(self, version: Path, week: int) -> float:
        # TensorFlow takes seconds to import and gigabytes to hold, beside runs that need them.
        from components.gate import predictions  # noqa: PLC0415
        from components.gate.interval import rmse  # noqa: PLC0415

        return rmse(predictions.errors(str(version), self._ratings.holdout_until(week)))


def schedule(weeks: int, seed: int) -> list[Event]:
    """Returns all events of a year, in order; each poisoning once, and a good run every week.

    Args:
        weeks: Number of weeks.
        seed: Seed of the weeks of the faults.
    """
    rng = np.random.default_rng(seed)
    names = [*POISONINGS, *[KILL] * _KILLS, FULL_DISK, ROLLBACK]
    possible = np.arange(min(weeks, _CALM_WEEKS + 1), weeks + 1)
    chosen = rng.choice(possible, len(names), replace=len(names) > len(possible))
    by_week: dict[int, list[Event]] = {}
    for name, week in zip(names, chosen, strict=True):
        by_week.setdefault(int(week), []).append(Event(int(week), name, float(rng.random())))
    return [event for week in range(1, weeks + 1) for event in _week(week, by_week.get(week, []))]


def _week(week: int, events: Sequence[Event]) -> Iterator[Event]:
    """Yields the faults, then the run that makes them good, then what an operator does."""
    yield from (event for event in events if event.name != ROLLBACK)
    yield Event(week, GOOD)
    yield from (event for event in events if event.name == ROLLBACK)
    if week % _WEEKS_PER_MONTH == 0:
        yield Event(week, PRUNE)


def count(outcomes: Sequence[Outcome]) -> Counts:
    """Returns the counts of a year."""
    poisoned = [o for o in outcomes if o.event in POISONINGS]
    much = [o for o in poisoned if POISONINGS[o.event].share >= MUCH]
    little = [o for o in poisoned if POISONINGS[o.event].share < MUCH]
    good = [o for o in outcomes if o.event == GOOD]
    refused = [o for o in good if o.verdict != "pushed"]
    kept_out = [o for o in refused if "rolled back" in o.reason or "pinned" in o.reason]
    return Counts(
        poisoned=len(much),
        poisoned_pushed=_pushed(much),
        slightly_poisoned=len(little),
        slightly_poisoned_pushed=_pushed(little),
        good=len(good),
        good_refused=len(refused) - len(kept_out),
        kept_out_by_rollback=len(kept_out),
        largest_disk_mib=max(o.disk_mib for o in outcomes),
    )


def _pushed(outcomes: Sequence[Outcome]) -> int:
    return sum(o.verdict == "pushed" for o in outcomes)


def as_table(outcomes: Sequence[Outcome]) -> Table:
    """Returns a table with a row for each event."""
    table = Table()
    for heading in ("week", "event", "verdict", "served", "RMSE", "MiB", "reason"):
        table.add_column(heading, justify="right" if heading in ("RMSE", "MiB", "week") else "left")
    for outcome in outcomes:
        table.add_row(
            str(outcome.week),
            outcome.event,
            outcome.verdict,
            "" if outcome.served is None else str(outcome.served),
            "" if outcome.rmse is None else f"{outcome.rmse:.4f}",
            f"{outcome.disk_mib:.0f}",
            outcome.reason,
        )
    return table


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of the year; it may be under way.")],
    weeks: Annotated[int, typer.Option(min=1, max=WEEKS, help="Number of weeks.")] = WEEKS,
    start: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the ratings before the first week.")
    ] = 0.4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the faults.")] = 0,
    keep: Annotated[
        int, typer.Option(min=1, help="Versions and runs that are kept at the end of a month.")
    ] = 4,
    golden: Annotated[
        int, typer.Option("--golden-set", min=0, help="Ratings in the golden set; none if 0.")
    ] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Configuration as SECTION.KEY=VALUE.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Retrain every week for a year, with poisoned weeks, kills and a full disk."""
    console = Console(stderr=True)
    options = [option for value in settings or () for option in ("--set", value)]
    year = Year(folder.resolve(), start, seed, golden, options)
    events = schedule(weeks, seed)
    for event in events[len(year.outcomes()) :]:
        outcome = year.live(event, keep)
        console.print(f"week {outcome.week}: {outcome.event}: {outcome.verdict} {outcome.reason}")
    outcomes = year.outcomes()
    shutil.rmtree(folder / "data", ignore_errors=True)
    if as_json:
        shown: dict[str, Any] = {
            "outcomes": [asdict(outcome) for outcome in outcomes],
            "counts": asdict(count(outcomes)),
        }
        print(json.dumps(shown, indent=2))
    else:
        Console(width=200).print(as_table(outcomes))
        for name, value in asdict(count(outcomes)).items():
            print(f"{name.replace('_', ' ')}: {value}")


if __name__ == "__main__":
    typer.run(main)
