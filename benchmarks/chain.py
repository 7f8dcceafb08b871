"""Compares a whole run with a plain TFX chain on the same ratings.

    .venv/bin/python -m benchmarks.chain [--rounds 3] [--json]

Each round runs, one after the other: `movierec run` in a new workspace, the same again, which takes
every step from the cache, and the plain chain (`benchmarks/contenders/plain_tfx.py`).
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.processes import run_module
from components.movielens_example_gen import joining, reading
from models import features
from pipeline.config.tree import PipelineConfig
from pipeline.datasets import locate
from pipeline.ingest_options import ingest_options

OURS: Final = "movierec"
CACHED: Final = "movierec, cached"
PLAIN: Final = "plain TFX"

# What the plain chain calls a step of ours.
_PLAIN_NAMES: Final = {"MovieLensExampleGen": "CsvExampleGen", "ImportSchemaGen": "SchemaGen"}


@dataclass(frozen=True)
class Measured:
    """A run of a chain, or the medians of several.

    Attributes:
        steps: Seconds of each step.
        seconds: Seconds of the whole command.
        cpu_seconds: Time on all cores.
        peak_mib: Most memory of the largest process, in MiB.
        holdout_rmse: RMSE on the chain's own holdout, in stars.
    """

    steps: dict[str, float]
    seconds: float
    cpu_seconds: float
    peak_mib: float
    holdout_rmse: float


def export(path: Path) -> None:
    """Writes MovieLens-100K as one CSV file, each rating with its movie and user."""
    config = PipelineConfig()
    raw, cleaned = reading.read(str(locate(config.data)), ingest_options(config))
    joined = joining.join(cleaned.accepted, raw)
    columns = {name: joined[name] for name in joined.column_names}
    columns[features.MOVIE_GENRES] = pc.binary_join(columns[features.MOVIE_GENRES], "|")
    for name in (features.USER_ID, features.MOVIE_ID, features.TIMESTAMP):
        columns[name] = pc.cast(columns[name], pa.int64())
    with path.open("wb") as file:
        # Arrow quotes names, and TFX's reader takes the quotes for a part of them.
        file.write((",".join(columns) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False)
        pyarrow.csv.write_csv(pa.table(columns), file, options)


def measure(folder: Path, csv_folder: Path) -> dict[str, Measured]:
    """Runs each chain once.

    Args:
        folder: Empty folder for the workspaces.
        csv_folder: Folder of the file of `export`.

    Returns:
        What each run cost, by `OURS`, `CACHED` and `PLAIN`.
    """
    measured = {}
    for name in (OURS, CACHED):
        run = run_module("movierec", ["run", "--workspace", str(folder / OURS), "--json"])
        summary = json.loads(run.output)
        measured[name] = Measured(
            steps={step: value for step, value in summary["seconds"].items() if step != "total"},
            seconds=run.seconds,
            cpu_seconds=run.cpu_seconds,
            peak_mib=run.peak_mib,
            holdout_rmse=summary["rmse"]["holdout"],
        )
    run = run_module("benchmarks.contenders.plain_tfx", [str(csv_folder), str(folder / "plain")])
    printed = json.loads(run.output.strip().rpartition("\n")[2])
    measured[PLAIN] = Measured(
        steps=printed["seconds"],
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        peak_mib=run.peak_mib,
        holdout_rmse=printed["holdout_rmse"],
    )
    return measured


def medians(rounds: Sequence[Measured]) -> Measured:
    """Returns the median of each figure."""
    return Measured(
        steps={
            step: statistics.median(run.steps[step] for run in rounds) for step in rounds[0].steps
        },
        **{
            name: statistics.median(getattr(run, name) for run in rounds)
            for name in ("seconds", "cpu_seconds", "peak_mib", "holdout_rmse")
        },
    )


def as_table(measured: dict[str, Measured]) -> Table:
    """Returns a table with a row for each step, and the ratio of ours to the plain chain."""
    table = Table()
    for heading in ("", *measured, "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    ours, plain = measured[OURS], measured[PLAIN]
    steps = dict.fromkeys([*ours.steps, *(_ours(step) for step in plain.steps)])
    for step in steps:
        seconds = [
            run.steps.get(step, run.steps.get(_PLAIN_NAMES.get(step, step)))
            for run in measured.values()
        ]
        cells = ["" if value is None else f"{value:.1f}" for value in seconds]
        table.add_row(step, *cells, "")
    for name, label, digits in (
        ("seconds", "total, seconds", 1),
        ("cpu_seconds", "CPU seconds", 1),
        ("peak_mib", "peak MiB", 0),
    ):
        figures = [getattr(run, name) for run in measured.values()]
        ratio = getattr(ours, name) / getattr(plain, name)
        table.add_row(label, *(f"{figure:,.{digits}f}" for figure in figures), f"{ratio:.2f}")
    rmse = [f"{run.holdout_rmse:.4f}" for run in measured.values()]
    table.add_row("holdout RMSE", *rmse, "")
    return table


def _ours(plain_step: str) -> str:
    return {plain: ours for ours, plain in _PLAIN_NAMES.items()}.get(plain_step, plain_step)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each chain.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare a whole run with a plain TFX chain, in turns."""
    console = Console(stderr=True)
    runs: list[dict[str, Measured]] = []
    with tempfile.TemporaryDirectory() as name:
        csv_folder = Path(name, "csv")
        csv_folder.mkdir()
        export(csv_folder / "ratings.csv")
        for number in range(rounds):
            folder = Path(name, str(number))
            folder.mkdir()
            runs.append(measure(folder, csv_folder))
            shown = ", ".join(f"{chain} {run.seconds:.1f} s" for chain, run in runs[-1].items())
            console.print(f"round {number + 1}: {shown}")
    middle = {chain: medians([run[chain] for run in runs]) for chain in (OURS, CACHED, PLAIN)}
    if as_json:
        print(json.dumps({chain: asdict(run) for chain, run in middle.items()}, indent=2))
    else:
        Console().print(as_table(middle))


if __name__ == "__main__":
    typer.run(main)
