"""The records of ML Metadata on runs and pushes."""

from __future__ import annotations

from pathlib import Path

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata
from tfx.types import standard_artifacts

from pipeline import PIPELINE_NAME
from serving.versions import newest_version

Outputs = dict[str, dict[str, metadata_store_pb2.Artifact]]
"""Output artifacts by step and key."""


def connection(database: Path) -> metadata_store_pb2.ConnectionConfig:
    """Returns the connection to a workspace's SQLite database, which the first use creates."""
    return metadata.sqlite_metadata_connection_config(str(database))


def outputs_of_run(database: Path, run_id: str) -> Outputs:
    """Returns the artifacts of a run, cached ones included."""
    store = MetadataStore(connection(database))
    run = store.get_context_by_type_and_name("pipeline_run", run_id)
    executions = {execution.id for execution in store.get_executions_by_context(run.id)}
    outputs: Outputs = {}
    for node in store.get_contexts_by_type("node"):
        mine = {execution.id for execution in store.get_executions_by_context(node.id)}
        events = store.get_events_by_execution_ids(mine & executions) if mine & executions else []
        keys = {
            event.artifact_id: event.path.steps[0].key
            for event in events
            if event.type == metadata_store_pb2.Event.OUTPUT
        }
        step = node.name.removeprefix(f"{PIPELINE_NAME}.")
        artifacts = store.get_artifacts_by_id(list(keys))
        outputs[step] = {keys[artifact.id]: artifact for artifact in artifacts}
    return outputs


def forget_superseded_pushes(database: Path, serving: Path) -> None:
    """Makes the Pusher push again if its earlier result is no longer what is served.

    A cached push is right only while its version is the newest in the folder. After another model
    was pushed, or the version was deleted, an unchanged model must be pushed anew.

    Args:
        database: SQLite database of the workspace.
        serving: Folder of the versions.
    """
    if not database.exists():
        return
    store = MetadataStore(connection(database))
    newest = newest_version(serving)
    stale = []
    for artifact in store.get_artifacts_by_type(standard_artifacts.PushedModel.TYPE_NAME):
        destination = artifact.custom_properties["pushed_destination"].string_value
        live = artifact.state == metadata_store_pb2.Artifact.LIVE
        here = bool(destination) and Path(destination).parent == serving
        if live and here and Path(destination) != newest:
            artifact.state = metadata_store_pb2.Artifact.DELETED
            stale.append(artifact)
    if stale:
        store.put_artifacts(stale)
