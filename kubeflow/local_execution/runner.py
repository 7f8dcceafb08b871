"""Runs a compiled job on this machine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

from kubeflow.local_execution.cache import Cache
from kubeflow.local_execution.containers import Containers
from kubeflow.local_execution.executor_messages import Outputs
from kubeflow.local_execution.job import Job
from kubeflow.local_execution.outcome import Outcome, Result, State
from kubeflow.local_execution.platforms import Platform
from kubeflow.local_execution.task_process import Processes
from kubeflow.local_execution.task_runner import TaskRunner
from kubeflow.local_execution.values import Value
from kubeflow.parameters import PIPELINE_ROOT
from kubeflow.storage.locations import Locations
from pipeline.workspace import Workspace

_CACHE: Final = "cache"
_LOCATIONS: Final = "locations"
_WAKE_SECONDS: Final = 1.0


def remote_folder(workspace: Workspace) -> Path:
    """Returns where remote locations are that no mapping covers."""
    return Path(os.path.abspath(workspace.root)) / _LOCATIONS


def shared_folders(workspace: Workspace, locations: Locations) -> list[Path]:
    """Returns the folders of this machine that tasks in containers need.

    Args:
        workspace: Workspace of the run.
        locations: where remote locations are on this machine.
    """
    artifacts = Path(os.path.abspath(workspace.artifacts))
    return [artifacts, locations.default, *(folder for _, folder in locations.mapped)]


@dataclass(frozen=True)
class Options:
    """How a job is run.

    Attributes:
        platform: whose driver and launcher.
        parameters: values of all inputs of the pipeline.
        locations: where remote locations are on this machine.
        jobs: how many tasks run at a time.
        use_cache: whether what earlier runs made is used.
        containers: Container engine that runs the tasks; None for processes of this machine.
        impatient: set when an interrupt is to end the tasks without waiting for them.
    """

    platform: Platform
    parameters: Mapping[str, Value]
    locations: Locations
    jobs: int
    use_cache: bool
    containers: Containers | None = None
    impatient: threading.Event = field(default_factory=threading.Event)


def run(
    job: Job, workspace: Workspace, options: Options, report: Callable[[str, Outcome], None]
) -> Result:
    """Runs every task whose predecessors succeed.

    Args:
        job: Job to run.
        workspace: where everything is kept; a second run in it at the same time is refused.
        options: how.
        report: is told of each task that has ended, one at a time.

    Returns:
        What became of the tasks.

    Raises:
        UserError: the workspace is in use.
        KeyboardInterrupt: it was interrupted; all processes have been ended.
    """
    with workspace.locked():
        folder = Path(os.path.abspath(workspace.new_run()))
        root = _root(job, workspace, options)
        cache = Cache(workspace.root / _CACHE, options.locations, root)
        tasks = TaskRunner(
            job=job,
            platform=options.platform,
            parameters=options.parameters,
            locations=options.locations,
            root=root,
            folder=folder,
            cache=cache if options.use_cache else None,
            processes=Processes(options.impatient),
            containers=options.containers,
        )
        return _run(tasks, options.jobs, report)


def _root(job: Job, workspace: Workspace, options: Options) -> str:
    """Returns where artifacts go; a parameter, which the steps see, is what they write beside."""
    root = options.parameters.get(PIPELINE_ROOT) or job.pipeline_root
    return os.path.abspath(workspace.artifacts) if root is None else str(root).rstrip("/")


def _run(runner: TaskRunner, jobs: int, report: Callable[[str, Outcome], None]) -> Result:
    started = time.perf_counter()
    tasks = runner.job.tasks
    made: dict[str, Outputs] = {}
    outcomes = {name: Outcome(State.NOT_RUN) for name in tasks}
    one_at_a_time = threading.Lock()

    def perform(name: str) -> bool:
        outcome = runner.run(tasks[name], made)
        with one_at_a_time:
            if outcome.outputs is not None:
                made[name] = outcome.outputs
                here = runner.locations.local_value(outcome.outputs.artifacts)
                outcome = replace(outcome, outputs=replace(outcome.outputs, artifacts=here))
            outcomes[name] = outcome
            if not runner.processes.stopped:
                report(name, outcome)
        return outcome.outputs is not None

    def result() -> Result:
        return Result(runner.folder, time.perf_counter() - started, outcomes)

    try:
        _perform_in_order(
            {name: sorted(task.after) for name, task in tasks.items()},
            perform,
            jobs,
            runner.processes.end,
        )
    finally:
        with one_at_a_time:
            result().write()
    return result()


def _perform_in_order(
    after: Mapping[str, Collection[str]],
    perform: Callable[[str], bool],
    jobs: int,
    stop: Callable[[], None],
) -> None:
    """Performs every task whose predecessors have succeeded.

    Args:
        after: the predecessors of each task, without cycles.
        perform: performs a task in a thread of its own; whether it succeeded. Those that come
            after one that did not are not performed.
        jobs: how many are performed at a time.
        stop: has every `perform` under way return soon; called when this is interrupted.
    """
    order = TopologicalSorter(after)
    order.prepare()
    running: dict[Future[bool], str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                running |= {pool.submit(perform, name): name for name in order.get_ready()}
                if not running:
                    return
                # A signal that the system gives to another thread does not end the waiting of this
                # one, which is the only one that runs handlers.
                for future in wait(running, _WAKE_SECONDS, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    if future.result():
                        order.done(name)
        except BaseException:
            # Nobody waits for the others, and leaving the pool would.
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
