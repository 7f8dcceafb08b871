"""TFX's local runner, with the order of steps and each step seen from outside."""

from __future__ import annotations

import gc
import graphlib
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration.local import runner_utils
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from models.training.progress import Progress, current_report
from pipeline.graph import SERVING_VALIDATOR
from pipeline.metadata import TurnsMetadata
from pipeline.step_failure import explain
from pipeline.step_processes import Failed, StepProcesses
from pipeline.step_progress import StepProgress
from serving.launch.candidate_server import spare_process

Launch = Callable[[], bool]
"""Runs a step, and returns whether an earlier result was used."""


class ObservedDagRunner(LocalDagRunner):
    """Launches the steps as LocalDagRunner does, several at once, and reports which ones run."""

    def __init__(self, folder: Path, progress: StepProgress, jobs: int | None) -> None:
        """Prepares a run.

        Args:
            folder: Folder of the run, whose name is the run's id in ML Metadata.
            progress: Display of the steps.
            jobs: Largest number of steps at once, each in a forked process, for which this one
                must not have run TensorFlow; None runs them one by one in this process.
        """
        super().__init__()
        self._folder = folder
        self._progress = progress
        self._jobs = jobs

    def run_with_ir(
        self, pipeline: pipeline_pb2.Pipeline, run_options: pipeline_pb2.RunOptions | None = None
    ) -> None:
        """Launches each node after those that it needs; the first failure ends the run.

        Raises:
            StepFailedError: A step failed in a process of its own.
            ValueError: Run options are given. Use LocalDagRunner for partial runs.
        """
        if run_options is not None:
            raise ValueError("run_options: this runner always runs the whole pipeline")
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: self._folder.name}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        nodes = [node.pipeline_node for node in pipeline.nodes]
        order = StepOrder({node.node_info.id: node.upstream_nodes for node in nodes})
        launches = {
            node.node_info.id: partial(_launch, pipeline, node, deployment) for node in nodes
        }
        if self._jobs is None:
            self._run_in_turn(order, launches)
        else:
            self._run_at_once(order, launches, self._jobs)

    def _run_in_turn(self, order: StepOrder, launches: Mapping[str, Launch]) -> None:
        while (name := order.start_next()) is not None:
            token = current_report.set(partial(self._progress.note, name))
            try:
                with self._progress.step(name):
                    if launches[name]():
                        self._progress.cached.append(name)
            finally:
                current_report.reset(token)
            order.finish(name)

    def _run_at_once(self, order: StepOrder, launches: Mapping[str, Launch], jobs: int) -> None:
        # Pages that the collector does not touch stay shared among the processes.
        gc.freeze()
        try:
            with StepProcesses() as processes:
                while True:
                    while len(processes) < jobs and (name := order.start_next()) is not None:
                        self._progress.start(name)
                        processes.start(
                            name,
                            partial(_launch_with_spare, name, launches[name]),
                            partial(
                                explain,
                                step=name,
                                folder=self._folder,
                                has_reused=bool(self._progress.cached),
                            ),
                        )
                    if not len(processes):
                        return
                    self._progress.refresh()
                    for name, message in processes.news(self._progress.refresh_seconds):
                        if isinstance(message, Progress):
                            self._progress.note(name, message)
                        elif isinstance(message, Failed):
                            self._progress.fail(name)
                            raise message.error
                        else:
                            self._progress.finish(
                                name, message.peak_memory_mb, cached=message.cached
                            )
                            order.finish(name)
        finally:
            gc.unfreeze()


class StepOrder:
    """The order of the steps: each after those that it needs, the last in the graph first.

    So a check is done before longer work that it may spare.
    """

    def __init__(self, needed: Mapping[str, Collection[str]]) -> None:
        """Takes the steps.

        Args:
            needed: Ids of the steps that a step needs, by its id, in an order that respects it.
        """
        self._sorter = graphlib.TopologicalSorter(needed)
        self._sorter.prepare()
        self._depth: dict[str, int] = {}
        for name, before in needed.items():
            self._depth[name] = 1 + max((self._depth[one] for one in before), default=0)
        self._position = {name: position for position, name in enumerate(needed)}
        self._ready: list[str] = []

    def start_next(self) -> str | None:
        """Returns the step to start next; None if none can start before another finishes."""
        if self._sorter.is_active():
            self._ready += self._sorter.get_ready()
        if not self._ready:
            return None
        name = max(self._ready, key=lambda one: (self._depth[one], -self._position[one]))
        self._ready.remove(name)
        return name

    def finish(self, name: str) -> None:
        """Records that a step has finished, so that others can start."""
        self._sorter.done(name)


def _launch_with_spare(name: str, launch: Launch) -> bool:
    """Runs a step in its own process."""
    # TFX starts threads before the executor, and a process with threads cannot fork.
    with spare_process() if name == SERVING_VALIDATOR else nullcontext():
        return launch()


def _launch(
    pipeline: pipeline_pb2.Pipeline,
    node: pipeline_pb2.PipelineNode,
    deployment: pipeline_pb2.IntermediateDeploymentConfig,
) -> bool:
    """Runs a step, and returns whether an earlier result was used."""
    name = node.node_info.id
    connection = deployment.metadata_connection_config
    store = TurnsMetadata(getattr(connection, connection.WhichOneof("connection_config")))
    execution = launcher.Launcher(
        pipeline_node=node,
        mlmd_connection=store,
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, name),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
    ).launch()
    with store as handle:
        (record,) = handle.store.get_executions_by_id([execution.execution_id])
    return bool(record.last_known_state == metadata_store_pb2.Execution.CACHED)
