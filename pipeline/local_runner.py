"""Runs the pipeline on this machine, from data to a pushed model."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from models.training.progress import current_report
from pipeline import accepted_drift as accepted_drift_names
from pipeline import beam_check, run_log, summary
from pipeline.config.errors import EXPECTED, UserError
from pipeline.config.tree import PipelineConfig, to_toml
from pipeline.datasets import locate
from pipeline.step_progress import StepProgress
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.metadata import Outputs

_START_UP = "start-up"
_REPORT = "report"

_TERMINAL_SIZE = {"COLUMNS": "100", "LINES": "50"}


class StepFailedError(UserError):
    """A step ended with an error."""


def run(
    config: PipelineConfig,
    workspace: Workspace,
    verbose: bool = False,
    accepted_drift: Iterable[str] = (),
) -> summary.Summary:
    """Runs every step whose inputs changed, and writes the run's folder.

    Args:
        config: Configuration of the run.
        workspace: Folder for all results; a second run in it at the same time is refused.
        verbose: Whether all logs are shown on standard error; otherwise they are in the run's
            `log.txt` only.
        accepted_drift: Names of moves of the data that a person accepts for this run.

    Returns:
        Content of `summary.json`.

    Raises:
        UserError: The data was not found, the workspace is in use, Beam cannot work as
            configured, or there is no such move.
        StepFailedError: A step failed. The run pushed nothing.
    """
    accepted = accepted_drift_names.parse("--accept-drift", accepted_drift)
    data = locate(config.data)
    beam_check.check_run(config.beam)
    with workspace.locked():
        folder = workspace.new_run()
        (folder / "config.toml").write_text(to_toml(config), encoding="utf-8")
        with run_log.redirected(folder / "log.txt", verbose) as screen:
            return _run(config, workspace, data, folder, screen, accepted)


def _run(
    config: PipelineConfig,
    workspace: Workspace,
    data: Path,
    folder: Path,
    screen: IO[str],
    accepted_drift: str,
) -> summary.Summary:
    started = time.perf_counter()
    with StepProgress(screen) as progress:
        try:
            outputs = _launch(config, workspace, data, folder.name, progress, accepted_drift)
            with progress.step(_REPORT):
                from pipeline import results

                collected = results.collect(config, outputs)
        except Exception as error:
            logging.exception("%s failed", progress.current)
            raise StepFailedError(_explain(error, progress.current, folder)) from error
    result = summary.Summary(
        **collected,
        run_id=folder.name,
        seconds=_rounded({**progress.seconds, "total": time.perf_counter() - started}),
        cached=progress.cached,
    )
    summary.write(folder, result)
    return result


def _launch(
    config: PipelineConfig,
    workspace: Workspace,
    data: Path,
    run_id: str,
    progress: StepProgress,
    accepted_drift: str,
) -> Outputs:
    """Runs every step, and returns the artifacts of the run."""
    with progress.step(_START_UP):
        # These imports take seconds, which the progress shows under this step.
        from pipeline import metadata
        from pipeline.dag_runner import ObservedDagRunner
        from pipeline.graph import Locations, create_pipeline

        serving = workspace.serving(config.serving.model_name).resolve()
        locations = Locations(
            data=str(data),
            artifacts=str(workspace.artifacts.resolve()),
            checkpoints=str(workspace.checkpoints.resolve()),
            serving=str(serving),
        )
        pipeline = create_pipeline(config, locations, accepted_drift=accepted_drift)
        pipeline.metadata_connection_config = metadata.connection(workspace.metadata_db)
        metadata.forget_superseded_pushes(workspace.metadata_db, serving)
    token = current_report.set(progress.note)
    try:
        with _tuned_process():
            ObservedDagRunner(run_id, progress).run(pipeline)
    finally:
        current_report.reset(token)
    return metadata.outputs_of_run(workspace.metadata_db, run_id)


@contextmanager
def _tuned_process() -> Iterator[None]:
    """Sets the process up so that steps take a tenth less time, with the same results."""
    thresholds = gc.get_threshold()
    # Graphs of millions of objects live as long as a step: earlier scans find nothing to free.
    gc.set_threshold(100_000, 50, 50)
    # Beam builds an argument parser for every stage, and each looks up the terminal's size.
    assumed = {n: v for n, v in _TERMINAL_SIZE.items() if n not in os.environ}
    os.environ.update(assumed)
    try:
        yield
    finally:
        for name in assumed:
            del os.environ[name]
        gc.set_threshold(*thresholds)


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {step: round(value, 3) for step, value in seconds.items()}


def _explain(error: Exception, step: str | None, folder: Path) -> str:
    if isinstance(error, EXPECTED):
        return f"{step}: {error}"
    if isinstance(error, OSError):
        return f"{step}: {error.strerror or error} ({error.filename or folder})"
    first_line = str(error).strip().partition("\n")[0]
    return f"{step}: {type(error).__name__}: {first_line}; the traceback is in {folder / 'log.txt'}"
