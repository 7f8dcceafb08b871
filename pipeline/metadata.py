"""The records of ML Metadata on runs and pushes."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Collection
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata
from tfx.types import standard_artifacts

from components.atomic_pusher import PIN_VERDICT_KEY
from pipeline import PIPELINE_NAME
from pipeline.config.errors import UserError
from pipeline.workspace import ARTIFACTS_FOLDER
from serving.version_pin import served_version

_LOCK_FILE: Final = ".metadata.lock"


def check_readable(database: Path) -> None:
    """Checks that a workspace's database is not damaged; one that is not there is fine.

    Raises:
        UserError: It is damaged.
    """
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database)) as connected:
            (found,) = connected.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise UserError(
            f"{database}: damaged ({found.splitlines()[-1]}); restore a copy, or move it away: the "
            "next run then starts with no cache and no record of what was blessed"
        )


def _store(database: Path) -> MetadataStore:
    """Returns the records of a workspace, which the first use makes.

    Raises:
        UserError: A newer release of ML Metadata has written them, or they cannot be read.
    """
    try:
        return MetadataStore(connection(database))
    except RuntimeError as error:
        raise UserError(f"{database}: {str(error).partition(chr(10))[0]}") from error


Outputs = dict[str, dict[str, metadata_store_pb2.Artifact]]
"""Output artifacts by step and key."""


def connection(database: Path) -> metadata_store_pb2.ConnectionConfig:
    """Returns the connection to a workspace's SQLite database, which the first use creates."""
    return metadata.sqlite_metadata_connection_config(str(database))


class TurnsMetadata(metadata.Metadata):
    """A connection to a SQLite database that processes take in turns.

    SQLite refuses a process that wants to write while another one does.
    """

    def __init__(self, connection_config: metadata_store_pb2.ConnectionConfig) -> None:
        """Takes the connection of a workspace's database."""
        super().__init__(connection_config)
        # Closing any file of the database would release SQLite's own locks.
        self._lock = Path(connection_config.sqlite.filename_uri).with_name(_LOCK_FILE)
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        """Waits for its turn, and connects."""
        with ExitStack() as stack:
            lock = stack.enter_context(self._lock.open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            super().__enter__()
            self._entered = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[Exception] | None = None,
        exc_value: Exception | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Disconnects, and lets others take their turn."""
        with self._entered:
            super().__exit__(exc_type, exc_value, exc_tb)


def outputs_of_run(database: Path, run_id: str) -> Outputs:
    """Returns the artifacts of a run, cached ones included.

    Raises:
        UserError: The database is damaged or gone, or another one than that of the run.
    """
    check_readable(database)
    run = None
    if database.exists():
        store = _store(database)
        run = store.get_context_by_type_and_name("pipeline_run", run_id)
    if run is None:
        raise UserError(
            f"{database}: it has no record of run {run_id}, which says where its outputs are; "
            "restore a copy from that time"
        )
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

    A cached push is right only while its version is the one that is served. After another model
    was pushed or pinned, or the version was deleted, an unchanged model must be judged anew.

    Args:
        database: SQLite database of the workspace; paths in it may be relative to its folder.
        serving: Folder of the versions, an absolute path.
    """
    if not database.exists():
        return
    store = _store(database)
    served = served_version(serving)
    root = database.parent
    stale = []
    for artifact in store.get_artifacts_by_type(standard_artifacts.PushedModel.TYPE_NAME):
        destination = _text(artifact, "pushed_destination")
        live = artifact.state == metadata_store_pb2.Artifact.LIVE
        here = bool(destination) and (root / destination).parent == serving
        superseded = here and root / destination != served
        if live and (superseded or _text(artifact, PIN_VERDICT_KEY)):
            artifact.state = metadata_store_pb2.Artifact.DELETED
            stale.append(artifact)
    if stale:
        store.put_artifacts(stale)


def forget_lost(database: Path, may_be_empty: Collection[tuple[str, str]]) -> None:
    """Makes the steps run again whose results are no longer in the workspace.

    TFX takes a result from the cache if its folder is there, though nothing may be left in it, or
    though it is in the place of which this workspace is a copy: steps whose Beam works on other
    machines have absolute paths.

    Args:
        database: SQLite database of the workspace.
        may_be_empty: Outputs, by step and key, of which a folder without files is a result.
    """
    if not database.exists():
        return
    store = _store(database)
    lost = []
    for artifact in store.get_artifacts():
        if not artifact.uri or artifact.state != metadata_store_pb2.Artifact.LIVE:
            continue
        folder = database.parent / artifact.uri
        is_here = folder.is_relative_to(database.parent)
        is_whole = folder.parts[-3:-1] in may_be_empty or _has_files(folder)
        if not (is_here and is_whole):
            artifact.state = metadata_store_pb2.Artifact.DELETED
            lost.append(artifact)
    if lost:
        store.put_artifacts(lost)


def folder_of(database: Path, artifact: metadata_store_pb2.Artifact) -> Path:
    """Returns the folder of an artifact in the workspace.

    A record of steps whose Beam works on other machines has the absolute path of a workspace that
    was moved or copied since.

    Args:
        database: SQLite database of the workspace.
        artifact: Artifact with a path in the workspace.
    """
    folder = database.parent / artifact.uri
    if folder.is_relative_to(database.parent) or ARTIFACTS_FOLDER not in folder.parts:
        return folder
    below = len(folder.parts) - folder.parts[::-1].index(ARTIFACTS_FOLDER)
    return database.parent.joinpath(ARTIFACTS_FOLDER, *folder.parts[below:])


def _has_files(folder: Path) -> bool:
    # A baseline is a link to a version.
    return any(files for _, _, files in os.walk(folder, followlinks=True))


def _text(artifact: metadata_store_pb2.Artifact, name: str) -> str:
    """Returns a custom property, or an empty text without it.

    Looking it up would add one without a value, at which ML Metadata ends the process.
    """
    properties = artifact.custom_properties
    return str(properties[name].string_value) if name in properties else ""


def folders_of_runs(database: Path, run_ids: set[str]) -> set[Path]:
    """Returns the folders of all artifacts of some runs, cached ones included."""
    if not database.exists():
        return set()
    store = _store(database)
    known = {run.name: run.id for run in store.get_contexts_by_type("pipeline_run")}
    folders = set()
    for run_id in run_ids & known.keys():
        executions = [execution.id for execution in store.get_executions_by_context(known[run_id])]
        events = store.get_events_by_execution_ids(executions) if executions else []
        artifacts = store.get_artifacts_by_id([event.artifact_id for event in events])
        folders |= {
            folder_of(database, artifact).resolve() for artifact in artifacts if artifact.uri
        }
    return folders


def forget_removed(database: Path, folders: set[Path]) -> None:
    """Marks the artifacts of folders that are being removed, so that no run takes them.

    Args:
        database: SQLite database of the workspace.
        folders: Folders of artifacts.
    """
    if not database.exists():
        return
    store = _store(database)
    removed = [
        artifact
        for artifact in store.get_artifacts()
        if artifact.uri and folder_of(database, artifact).resolve() in folders
    ]
    for artifact in removed:
        artifact.state = metadata_store_pb2.Artifact.DELETED
    if removed:
        store.put_artifacts(removed)
