"""Runs the pipeline on this machine, from data to a pushed model."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pipeline import accepted_drift as accepted_drift_names
from pipeline import beam_check, run_log, step_processes, summary
from pipeline.config.tree import PipelineConfig, to_toml
from pipeline.datasets import locate, recognised, require_golden_set
from pipeline.lean_imports import lean_imports
from pipeline.step_failure import StepFailedError, explain
from pipeline.step_progress import StepProgress
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.metadata import Outputs

_START_UP = "start-up"
_REPORT = "report"

# Memory, in bytes, that a further step at once takes on MovieLens-1M and smaller data.
_MEMORY_PER_JOB = 4 << 30

_TERMINAL_SIZE = {"COLUMNS": "100", "LINES": "50"}


@dataclass(frozen=True)
class FinishedRun:
    """A run that reached its end.

    Attributes:
        summary: Content of `summary.json`.
        can_fork: Whether this process may still be forked, since all steps ran in others.
    """

    summary: summary.Summary
    can_fork: bool


def run(
    config: PipelineConfig,
    workspace: Workspace,
    verbose: bool = False,
    accepted_drift: Iterable[str] = (),
) -> FinishedRun:
    """Runs every step whose inputs changed, and writes the run's folder.

    Args:
        config: Configuration of the run.
        workspace: Folder for all results; a second run in it at the same time is refused.
        verbose: Whether all logs are shown on standard error; otherwise they are in the run's
            `log.txt` only.
        accepted_drift: Names of moves of the data that a person accepts for this run.

    Raises:
        UserError: The data was not found, the workspace is in use, Beam cannot work as
            configured, or there is no such move.
        StepFailedError: A step failed. The run pushed nothing.
    """
    jobs = jobs_of(config)
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
            result = _run(config, workspace, data, folder, screen, accepted, jobs)
            return FinishedRun(result, can_fork=jobs is not None)


def jobs_of(config: PipelineConfig) -> int | None:
    """Returns how many steps run at once, or None if all run in this process, one by one.

    It must be called before anything imports TensorFlow. A step in a process of its own, even if
    it is the only one, can abort without the end of the run, which then says what happened.
    """
    if not step_processes.can_fork():
        return None
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    fitting = max(2, memory // _MEMORY_PER_JOB)
    return config.runner.jobs or min(len(os.sched_getaffinity(0)), fitting)


def _run(
    config: PipelineConfig,
    workspace: Workspace,
    data: Path,
    folder: Path,
    screen: IO[str],
    accepted_drift: str,
    jobs: int | None,
) -> summary.Summary:
    started = time.perf_counter()
    home = Workspace(workspace.root.resolve())
    with StepProgress(screen) as progress:
        try:
            with (
                _tuned_process(),
                without_arguments(),
                _paths_for_steps(config, home) as paths,
            ):
                outputs = _launch(config, home, paths, data, folder, progress, accepted_drift, jobs)
                with progress.step(_REPORT):
                    from pipeline import results

                    collected = results.collect(config, outputs)
        except StepFailedError:
            # Its process has written the log.
            raise
        except Exception as error:
            logging.exception("%s failed", progress.current)
            raise explain(error, progress.current, folder, bool(progress.cached)) from error
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
def without_arguments() -> Iterator[None]:
    """Hides the arguments of the process from steps.

    TFX parses them as absl's flags for each step that uses Beam, whatever program's they are: with
    absl, the `-v FILE` of another program is a verbosity that is no number.
    """
    arguments = sys.argv
    sys.argv = arguments[:1]
    try:
        yield
    finally:
        sys.argv = arguments


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
    folder: Path,
    progress: StepProgress,
    accepted_drift: str,
    jobs: int | None,
) -> Outputs:
    """Runs every step, and returns the artifacts of the run.

    Args:
        config: Configuration of the run.
        workspace: Workspace, by an absolute path.
        paths: Workspace as the steps see it.
        data: Folder of the data, an absolute path.
        folder: Folder of the run, whose name is the run's id.
        progress: Display of the steps.
        accepted_drift: Moves of the data that are accepted, as one text.
        jobs: Largest number of steps at once; None runs them in this process.
    """
    with progress.step(_START_UP):
        with lean_imports():
            # These imports take seconds, which the progress shows under this step.
            from pipeline import metadata
            from pipeline.dag_runner import ObservedDagRunner
            from pipeline.graph import MAY_BE_EMPTY, Locations, create_pipeline

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
        metadata.forget_lost(workspace.metadata_db, MAY_BE_EMPTY)
    ObservedDagRunner(folder, progress, jobs).run(pipeline)
    return metadata.outputs_of_run(workspace.metadata_db, folder.name)


@contextmanager
def _tuned_process() -> Iterator[None]:
    """Sets the process up so that imports and steps take less time, with the same results."""
    thresholds = gc.get_threshold()
    # Modules live on, and graphs of millions of objects as long as a step: earlier scans find
    # nothing to free.
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
