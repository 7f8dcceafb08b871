"""TFX's local runner, with each step seen from outside."""

from __future__ import annotations

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from pipeline.step_progress import StepProgress


class ObservedDagRunner(LocalDagRunner):
    """Launches the steps as LocalDagRunner does, and reports which one is running."""

    def __init__(self, run_id: str, progress: StepProgress) -> None:
        """Runs under the given id in ML Metadata, and reports each step."""
        super().__init__()
        self._run_id = run_id
        self._progress = progress

    def run_with_ir(
        self, pipeline: pipeline_pb2.Pipeline, run_options: pipeline_pb2.RunOptions | None = None
    ) -> None:
        """Launches every node in topological order; the first failure ends the run.

        Raises:
            ValueError: Run options are given. Use LocalDagRunner for partial runs.
        """
        if run_options is not None:
            raise ValueError("run_options: this runner always runs the whole pipeline")
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: self._run_id}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = deployment.metadata_connection_config
        database = getattr(connection, connection.WhichOneof("connection_config"))
        for node in pipeline.nodes:
            self._launch(pipeline, node.pipeline_node, deployment, metadata.Metadata(database))

    def _launch(
        self,
        pipeline: pipeline_pb2.Pipeline,
        node: pipeline_pb2.PipelineNode,
        deployment: pipeline_pb2.IntermediateDeploymentConfig,
        store: metadata.Metadata,
    ) -> None:
        name = node.node_info.id
        with self._progress.step(name) as was_cached:
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
            if record.last_known_state == metadata_store_pb2.Execution.CACHED:
                was_cached()
