"""Measures how a whole run grows with the number of ratings.

    .venv/bin/python -m benchmarks.scale [--size 0.1 --size 1] [--json]

Each size is a generated folder of ratings and a `movierec run` on it in a new workspace, with the
default configuration but for the gate's highest RMSE.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import generated_folders
from benchmarks.processes import run_module

# Users and movies by millions of ratings: MovieLens 100K, 1M, 10M and 25M.
_EDITIONS: Final = {
    0.1: (943, 1_682),
    1: (6_040, 3_706),
    10: (69_878, 10_677),
    25: (162_541, 59_047),
}
_MIB: Final = 1 << 20
_ANY_RMSE: Final = 5


@dataclass(frozen=True)
class Measured:
    """A run on one size.

    Attributes:
        ratings: Number of ratings.
        steps: Seconds of each step.
        seconds: Seconds of the whole command.
        cpu_seconds: Time on all cores.
        peak_mib: Most memory of the largest process, in MiB.
        peak_mib_of_steps: Most memory of each step's process until its end, in MiB.
        disk_mib: Size of the workspace, in MiB.
        pushed: Whether the model was pushed.
    """

    ratings: int
    steps: dict[str, float]
    seconds: float
    cpu_seconds: float
    peak_mib: float
    peak_mib_of_steps: dict[str, float]
    disk_mib: float
    pushed: bool


@dataclass(frozen=True)
class Growth:
    """Seconds of a step as a + b · ratings, by least squares of the relative error.

    Attributes:
        fixed: a, in seconds.
        per_million: b, in seconds for a million ratings.
        exponent: Slope of log(seconds) over log(ratings) between the two largest sizes; 1 is
            linear.
    """

    fixed: float
    per_million: float
    exponent: float


def measure(millions: float, settings: Sequence[str]) -> Measured:
    """Generates ratings and runs the pipeline on them.

    Args:
        millions: Number of ratings in millions. Users and movies are those of the MovieLens edition
            of that size, or between two of them.
        settings: Values of the configuration, `section.key=value`.
    """
    with tempfile.TemporaryDirectory() as folder:
        data, workspace = Path(folder, "data"), Path(folder, "workspace")
        data.mkdir()
        ratings = generated_folders.write(data, round(millions * 1e6), *users_and_movies(millions))
        # The error of generated ratings says nothing: every model is pushed.
        gate = f"gate.max_rmse={_ANY_RMSE}"
        values = ("data.dataset=csv", f"data.path={data}", gate, *settings)
        options = [option for value in values for option in ("--set", value)]
        run = run_module("movierec", ["run", "--workspace", str(workspace), "--json", *options])
        summary = json.loads(run.output)
        files = (path for path in workspace.rglob("*") if path.is_file())
        return Measured(
            ratings=ratings,
            steps={name: value for name, value in summary["seconds"].items() if name != "total"},
            seconds=run.seconds,
            cpu_seconds=run.cpu_seconds,
            peak_mib=run.peak_mib,
            peak_mib_of_steps={
                step: peak * 1e6 / _MIB for step, peak in summary["peak_memory_mb"].items()
            },
            disk_mib=sum(path.stat().st_size for path in files) / _MIB,
            pushed=summary["pushed_model"] is not None,
        )


def users_and_movies(millions: float) -> tuple[int, int]:
    """Returns the numbers of users and of movies, between editions on a line of logarithms."""
    sizes = np.log(list(_EDITIONS))
    users, movies = (
        round(float(np.exp(np.interp(np.log(millions), sizes, np.log(counts)))))
        for counts in zip(*_EDITIONS.values(), strict=True)
    )
    return users, movies


def growth(ratings: Sequence[int], seconds: Sequence[float]) -> Growth:
    """Returns the growth of a step over at least two sizes.

    Args:
        ratings: Numbers of ratings, in growing order.
        seconds: Seconds of the step for each of them.
    """
    rows, taken = np.asarray(ratings, float), np.maximum(seconds, 1e-3)
    weighted = np.stack([np.ones_like(rows), rows / 1e6], axis=1) / taken[:, None]
    (fixed, per_million), *_ = np.linalg.lstsq(weighted, np.ones_like(rows), rcond=None)
    last = np.log(taken[-2:]), np.log(rows[-2:])
    return Growth(
        float(fixed), float(per_million), float(np.diff(last[0])[0] / np.diff(last[1])[0])
    )


def as_table(measured: Sequence[Measured]) -> Table:
    """Returns a table with a row for each step and a column for each size."""
    table = Table()
    table.add_column("")
    for run in measured:
        table.add_column(f"{run.ratings:,}", justify="right")
    several = len(measured) > 1
    for heading in ("fixed s", "s a million", "exponent") if several else ():
        table.add_column(heading, justify="right")
    sizes = [run.ratings for run in measured]

    def add(name: str, seconds: list[float]) -> None:
        cells = [f"{value:.1f}" for value in seconds]
        if several:
            fit = growth(sizes, seconds)
            cells += [f"{fit.fixed:.1f}", f"{fit.per_million:.1f}", f"{fit.exponent:.2f}"]
        table.add_row(name, *cells)

    for step in measured[0].steps:
        add(step, [run.steps.get(step, 0.0) for run in measured])
    add("total, seconds", [run.seconds for run in measured])
    add("CPU seconds", [run.cpu_seconds for run in measured])
    blank = [""] * (3 if several else 0)
    peaks = [
        (f"{step}, MiB", [f"{run.peak_mib_of_steps.get(step, 0):,.0f}" for run in measured])
        for step in measured[0].peak_mib_of_steps
    ]
    for name, cells in (
        ("ratings a second", [f"{run.ratings / run.seconds:,.0f}" for run in measured]),
        ("peak MiB", [f"{run.peak_mib:,.0f}" for run in measured]),
        ("disk MiB", [f"{run.disk_mib:,.0f}" for run in measured]),
        ("pushed", ["yes" if run.pushed else "no" for run in measured]),
        *peaks,
    ):
        table.add_row(name, *cells, *blank)
    return table


def main(
    size: Annotated[
        list[float] | None,
        typer.Option(min=0.02, help="Millions of ratings; 0.1, 1, 10 and 25 if not given."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Configuration as SECTION.KEY=VALUE.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure whole runs on generated ratings."""
    console = Console(stderr=True)
    measured = []
    for millions in sorted(size or _EDITIONS):
        measured.append(measure(millions, settings or ()))
        console.print(f"{measured[-1].ratings:,} ratings: {measured[-1].seconds:.0f} s")
    if as_json:
        shown: dict[str, Any] = {"runs": [asdict(run) for run in measured]}
        print(json.dumps(shown, indent=2))
    else:
        Console().print(as_table(measured))


if __name__ == "__main__":
    typer.run(main)
