"""Runs one task as a cluster's driver and launcher would, with the cache before it."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kubeflow.local_execution import (
    artifacts,
    cache,
    executor_messages,
    placeholders,
    pod,
    values,
)
from kubeflow.local_execution.artifacts import Record
from kubeflow.local_execution.containers import Containers
from kubeflow.local_execution.executor_messages import Outputs
from kubeflow.local_execution.job import Constant, Job, PipelineInput, Schema, Task, TaskOutput
from kubeflow.local_execution.outcome import Outcome, State
from kubeflow.local_execution.platforms import Platform
from kubeflow.local_execution.task_process import Processes
from kubeflow.local_execution.values import Value
from kubeflow.storage.locations import Locations
from pipeline.config.errors import LINE_START, UserError

_LONGEST_LOG_LINE: Final = 300
_TAIL_BYTES: Final = 65_536


@dataclass(frozen=True)
class _Places:
    """Where an attempt writes.

    Attributes:
        run: Address of the folder for what the run makes.
        task: Address of the folder for what the task makes.
        attempt: Number of the attempt, from 0 on.
    """

    run: str
    task: str
    attempt: int


@dataclass(frozen=True)
class TaskRunner:
    """Runs the tasks of one run.

    Attributes:
        job: whose tasks.
        platform: whose driver and launcher.
        parameters: values of the pipeline's inputs.
        locations: where remote locations are on this machine.
        root: the pipeline root.
        folder: Folder of the run, for logs.
        cache: Outputs of earlier runs; None to run every task.
        processes: Processes of the run.
        containers: Container engine that runs the tasks; None for processes of this machine.
    """

    job: Job
    platform: Platform
    parameters: Mapping[str, Value]
    locations: Locations
    root: str
    folder: Path
    cache: cache.Cache | None
    processes: Processes
    containers: Containers | None

    def run(self, task: Task, made: Mapping[str, Outputs]) -> Outcome:
        """Runs a task, or takes from the cache what it made.

        Args:
            task: the task.
            made: Outputs of the tasks before it, by task.
        """
        started = time.perf_counter()
        try:
            outcome = self._run(task, made)
        except UserError as error:
            outcome = Outcome(State.FAILED, failure=f"{task.name}: {error}")
        except OSError as error:
            failure = f"{task.name}: {error.strerror} ({error.filename or self.folder})"
            outcome = Outcome(State.FAILED, failure=failure)
        return replace(outcome, seconds=time.perf_counter() - started)

    def _run(self, task: Task, made: Mapping[str, Outputs]) -> Outcome:
        given = self._inputs(task, made)
        taken = {key: made[s.task].artifacts[s.key] for key, s in task.artifacts.items()}
        usable = self.cache if task.cacheable else None
        parameters, inputs = self.locations.local_value([given, taken])
        image_id = None if self.containers is None else self.containers.images[task.container.image]
        key = cache.fingerprint(self.platform, task, parameters, inputs, image_id)
        found = usable.find(key) if usable else None
        if found:
            return Outcome(State.CACHED, outputs=found)
        run_folder = f"{self.root}/{self.job.name}/{self.folder.name}"
        home = f"{run_folder}/{task.name}"
        if self.platform.own_folder:
            # Drawn by the driver, which runs once a task: all attempts have the same addresses.
            home = f"{home}/{uuid.uuid4()}"
        attempts = 0
        while True:
            attempts += 1
            try:
                with pod.started(self.platform, self.locations) as machine:
                    outputs = self._attempt(
                        task, given, taken, machine, _Places(run_folder, home, attempts - 1)
                    )
                break
            except UserError as error:
                failure = f"{task.name}: {error}"
                if attempts > task.retries.count or self.processes.stopped:
                    return Outcome(State.FAILED, attempts=attempts, failure=failure)
            self.processes.sleep(task.retries.seconds_before(attempts))
        if usable:
            usable.keep(key, outputs)
        return Outcome(State.DONE, attempts=attempts, outputs=outputs)

    def _log(self, task: Task) -> Path:
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
            given[key] = values.of_type(value, kind) if kind else value
        if self.job.schema is Schema.V2_1:
            # The driver of Kubeflow Pipelines leaves the placeholders inside constants alone.
            return given
        return {
            key: placeholders.in_constant(value, given)
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
            "pipeline_root": self.root,
        }

    def _attempt(
        self,
        task: Task,
        given: Mapping[str, Value],
        taken: Mapping[str, Record],
        machine: pod.Pod,
        places: _Places,
    ) -> Outputs:
        """Runs the command once, on a machine of its own, and returns what the task made.

        What it wrote to buckets stays for the next attempt, as on a cluster.

        Args:
            task: Task to run.
            given: Values of its parameters.
            taken: Records of its input artifacts.
            machine: Machine that the task runs on.
            places: Addresses of its outputs.

        Raises:
            UserError: The task failed.
        """
        planned = artifacts.planned(
            self.platform, task, self.folder.name, places.task, places.attempt
        )
        message = executor_messages.executor_input(
            machine, given, taken, planned, task.output_parameters, places.task
        )
        context = placeholders.Context(
            message, given, self._names(task), machine.path, self.platform.fills_constants
        )
        command = [context.fill(part) for part in task.container.command]
        machine.prepare(taken.values(), executor_messages.places(message))
        log = self._log(task)
        written = log.stat().st_size if log.exists() else 0
        try:
            code = self._run_command(task, command, machine, log)
        except OSError as error:
            raise UserError(f"{command[0]} cannot be started here: {error.strerror}") from error
        if code:
            ended = f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"
            raise UserError(f"{ended}: {_why(log, written)}; its log is {log}")
        declared = {key: planned[key] for key in task.output_artifacts}
        try:
            outputs = executor_messages.outputs(
                machine, message, declared, task.output_parameters, places.run
            )
            machine.collect(outputs.artifacts.values())
        except UserError as error:
            raise UserError(f"{error}; its log is {log}") from error
        return outputs

    def _run_command(self, task: Task, command: list[str], machine: pod.Pod, log: Path) -> int:
        """Returns the exit code of a command, run here or in a container of the task's image."""
        environment = {**machine.environment(), **task.container.environment}
        if self.containers is None:
            return self.processes.run(command, environment, log)
        with self.containers.named() as name:
            started = self.containers.command(
                name, task.container.image, machine.folder, command, environment
            )
            return self.processes.run(started, {}, log)


def _why(log: Path, start: int) -> str:
    """Returns the last line of a failed task that is meant for a person, or else its last line.

    Args:
        log: Output of all attempts.
        start: where that begins; earlier attempts failed for reasons of their own.
    """
    with log.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(start, size - _TAIL_BYTES))
        lines = stream.read().decode("utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    meant = [line.removeprefix(LINE_START) for line in said if line.startswith(LINE_START)]
    return (meant or said or ["it printed nothing"])[-1][:_LONGEST_LOG_LINE]
