"""Runs one task as a cluster's driver and launcher would, with the cache before it."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubeflow.local_execution import (
    artifacts,
    cache,
    executor_input,
    executor_output,
    placeholders,
    values,
)
from kubeflow.local_execution.executor_output import Outputs
from kubeflow.local_execution.job import Constant, Job, PipelineInput, Task, TaskOutput
from kubeflow.local_execution.locations import Locations
from kubeflow.local_execution.outcome import Outcome, State
from kubeflow.local_execution.task_process import Processes
from kubeflow.local_execution.values import Value
from pipeline.errors import UserError

_LONGEST_LOG_LINE: Final = 300
_TAIL_BYTES: Final = 65_536


@dataclass(frozen=True)
class TaskRunner:
    """Runs the tasks of one run.

    Attributes:
        job: whose tasks.
        parameters: values of the pipeline's inputs.
        locations: where remote locations are on this machine.
        root: the pipeline root on this machine.
        folder: of the run, for logs.
        cache: of what earlier runs made; None if it is not to be used.
        processes: of the run.
    """

    job: Job
    parameters: Mapping[str, Value]
    locations: Locations
    root: Path
    folder: Path
    cache: cache.Cache | None
    processes: Processes

    def run(self, task: Task, made: Mapping[str, Outputs]) -> Outcome:
        """Runs a task, or takes from the cache what it made.

        Args:
            task: the task.
            made: what the tasks before it made.
        """
        started = time.perf_counter()
        attempts = 0
        try:
            given = self._inputs(task, made)
            records = {key: made[s.task].artifacts[s.key] for key, s in task.artifacts.items()}
            key = cache.fingerprint(self.job.schema, task, given, records)
            usable = self.cache if task.cacheable else None
            found = usable.find(key) if usable else None
            if found:
                return Outcome(State.CACHED, time.perf_counter() - started, 0, found)
            home = self.root / self.job.name / self.folder.name / task.name
            planned = artifacts.planned(task, self.folder.name, home)
            message = executor_input.build(
                self.job.schema, given, records, planned, task.output_parameters, home
            )
            context = placeholders.Context(message, given, self._names(task))
            command = [self.locations.local(context.fill(a)) for a in task.container.command]
            failure: str | None = None
            for attempts in range(1, task.retries.count + 2):
                if attempts > 1:
                    self.processes.sleep(task.retries.seconds_before(attempts - 1))
                executor_output.make_room(message)
                failure = self._attempt(task, command)
                if failure is None or self.processes.stopped:
                    break
            if failure is None:
                outputs = executor_output.read(message, task.output_parameters)
                if usable:
                    usable.keep(key, outputs)
                seconds = time.perf_counter() - started
                return Outcome(State.DONE, seconds, attempts, outputs)
        except UserError as error:
            failure = f"{task.name}: {error}"
        except OSError as error:
            failure = f"{task.name}: {error.filename}: {error.strerror}"
        seconds = time.perf_counter() - started
        return Outcome(State.FAILED, seconds, attempts, failure=failure)

    def log(self, task: Task) -> Path:
        """The file for what a task prints."""
        return self.folder / f"{task.name}.log"

    def _inputs(self, task: Task, made: Mapping[str, Outputs]) -> dict[str, Value]:
        given: dict[str, Value] = {}
        for key, source in task.parameters.items():
            match source:
                case PipelineInput(name):
                    value = self.parameters[name]
                case TaskOutput(producer, output):
                    value = made[producer].parameters[output]
                case Constant(value):
                    pass
            kind = task.parameter_types.get(key)
            given[key] = self.locations.local_value(values.of_type(value, kind) if kind else value)
        return {
            key: self.locations.local_value(placeholders.in_constant(value, given))
            if isinstance(task.parameters[key], Constant)
            else value
            for key, value in given.items()
        }

    def _names(self, task: Task) -> dict[str, str]:
        run = self.folder.name
        return {
            "pipeline_job_name": f"{self.job.name}-{run}",
            "pipeline_job_resource_name": f"{self.job.name}-{run}",
            "pipeline_job_uuid": run,
            "pipeline_task_name": task.name,
            "pipeline_task_uuid": f"{run}-{task.name}",
            "pipeline_root": str(self.root),
        }

    def _attempt(self, task: Task, command: list[str]) -> str | None:
        """Runs the command once; why it failed, if it did."""
        environment = {
            name: self.locations.local(value) for name, value in task.container.environment.items()
        }
        log = self.log(task)
        try:
            code = self.processes.run(command, environment, log)
        except OSError as error:
            return f"{task.name}: {command[0]} cannot be started here: {error.strerror}"
        if code == 0:
            return None
        ended = f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"
        return f"{task.name}: {ended}: {_last_line(log)}; its log is {log}"


def _last_line(log: Path) -> str:
    with log.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _TAIL_BYTES))
        lines = stream.read().decode("utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:_LONGEST_LOG_LINE] if said else "it printed nothing"
