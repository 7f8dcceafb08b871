"""Runs the pipeline on this machine, from data to a pushed model."""

from __future__ import annotations

import errno
import gc
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from components.errors import DataError
from models.training.progress import current_report
from pipeline import accepted_drift as accepted_drift_names
from pipeline import beam_check, run_log, summary
from pipeline.config.errors import EXPECTED, UserError
from pipeline.config.tree import PipelineConfig, to_toml
from pipeline.datasets import locate, recognised, require_golden_set
from pipeline.step_progress import StepProgress
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.metadata import Outputs

_START_UP = "start-up"
_REPORT = "report"

_TERMINAL_SIZE = {"COLUMNS": "100", "LINES": "50"}


class StepFailedError(UserError):
    """A step ended with an error.

    Attributes:
        table: Lines of a table that belongs below the message.
    """

    def __init__(self, message: str, table: tuple[str, ...] = ()) -> None:
        """Constructs the error.

        Args:
            message: Message, one line.
            table: Lines of a table that belongs below it.
        """
        super().__init__(message)
        self.table = table


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
    with run_log.redirected(Path(os.devnull)):
        config = recognised(config)
        data = locate(config.data)
        require_golden_set(config.gate)
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
    home = Workspace(workspace.root.resolve())
    with StepProgress(screen) as progress:
        try:
            with _paths_for_steps(config, home) as paths:
                outputs = _launch(config, home, paths, data, folder.name, progress, accepted_drift)
                with progress.step(_REPORT):
                    from pipeline import results

                    collected = results.collect(config, outputs)
        except Exception as error:
            logging.exception("%s failed", progress.current)
            table = error.table if isinstance(error, DataError) else ()
            raise StepFailedError(_explain(error, progress.current, folder), table) from error
    result = summary.Summary(
        **summary.with_paths_in(home, collected),
        run_id=folder.name,
        seconds=_rounded({**progress.seconds, "total": time.perf_counter() - started}),
        peak_memory_mb=progress.peak_memory_mb,
        cached=progress.cached,
    )
    summary.write(home, result)
    return result


@contextmanager
def _paths_for_steps(config: PipelineConfig, workspace: Workspace) -> Iterator[Workspace]:
    """Yields the workspace as the steps see it, for the time that they run.

    Steps on this machine run in the workspace and know its folders by relative paths. The records
    of ML Metadata and the cache keys then have no others, and so stay right after a move. Beam's
    workers on other machines need absolute paths.
    """
    if config.beam.runner != "direct":
        yield workspace
        return
    with chdir(workspace.root):
        yield Workspace(Path())


def _launch(
    config: PipelineConfig,
    workspace: Workspace,
    paths: Workspace,
    data: Path,
    run_id: str,
    progress: StepProgress,
    accepted_drift: str,
) -> Outputs:
    """Runs every step, and returns the artifacts of the run.

    Args:
        config: Configuration of the run.
        workspace: Workspace, by an absolute path.
        paths: Workspace as the steps see it.
        data: Folder of the data, an absolute path.
        run_id: Id of the run.
        progress: Display of the steps.
        accepted_drift: Moves of the data that are accepted, as one text.
    """
    with progress.step(_START_UP):
        # These imports take seconds, which the progress shows under this step.
        from pipeline import metadata
        from pipeline.dag_runner import ObservedDagRunner
        from pipeline.graph import Locations, create_pipeline

        serving = workspace.serving(config.serving.model_name)
        locations = Locations(
            data=str(data),
            artifacts=str(paths.artifacts),
            checkpoints=str(paths.checkpoints),
            serving=str(paths.serving(config.serving.model_name)),
            golden_set=str(config.gate.golden_set) if config.gate.golden_set else None,
        )
        metadata.check_readable(workspace.metadata_db)
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
    if isinstance(error, DataError):
        return f"{step}: {error.message}"
    if isinstance(error, EXPECTED):
        return f"{step}: {error}"
    if _is_disk_full(error):
        return (
            f"{step}: no space left on the disk of {folder.parents[1]}; free some, for instance "
            "with `movierec prune`, and run again: steps that have finished are kept"
        )
    if isinstance(error, OSError):
        return f"{step}: {error.strerror or error} ({error.filename or folder})"
    if _is_out_of_memory(error):
        return (
            f"{step}: out of memory; lower training.memory_budget, training.batch_size or "
            f"model.dimension, or beam.workers; the traceback is in {folder / 'log.txt'}"
        )
    first_line = str(error).strip().partition("\n")[0]
    return f"{step}: {type(error).__name__}: {first_line}; the traceback is in {folder / 'log.txt'}"


def _is_disk_full(error: BaseException | None) -> bool:
    """Returns whether an error, or one that it followed from, is a full disk.

    TensorFlow raises the error of exhausted memory for it too, and Beam and SQLite their own.
    """
    texts = (os.strerror(errno.ENOSPC), "database or disk is full")
    while error is not None:
        if any(text in str(error) for text in texts):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Returns whether an error, or one that it followed from, is a lack of memory."""
    while error is not None:
        # TensorFlow's error, whose import takes seconds; it is loaded if it was raised.
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return True
        # Beam raises another error with the text of the worker's.
        if isinstance(error, RuntimeError) and "MemoryError" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
