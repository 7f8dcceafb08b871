from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline import metadata
from pipeline.config.errors import UserError
from serving.version_pin import PIN_FILE, Pin
from tests.serving.pushed_versions import push


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.db"
    with sqlite3.connect(path) as connected:
        connected.execute("CREATE TABLE artifact (uri TEXT)")
        connected.executemany("INSERT INTO artifact VALUES (?)", [("x" * 500,)] * 500)
    return path


def test_a_sound_database_and_none_are_fine(database: Path) -> None:
    metadata.check_readable(database)
    metadata.check_readable(database.with_name("absent.db"))
    assert not database.with_name("absent.db").exists()


@pytest.mark.parametrize("damage", ["half", "garbage", "overwritten"])
def test_a_damaged_database_is_one_line_with_a_remedy(database: Path, damage: str) -> None:
    content = database.read_bytes()
    half = len(content) // 2
    database.write_bytes(
        {
            "half": content[:half],
            "garbage": b"garbage" * 1000,
            "overwritten": content[:4096] + b"\xff" * (len(content) - 4096),
        }[damage]
    )
    with pytest.raises(UserError, match=f"^{database}: damaged .*move it away") as error:
        metadata.check_readable(database)
    assert "\n" not in str(error.value)


def test_a_run_of_which_there_is_no_record_is_one_line(database: Path) -> None:
    """As for a report after the database was damaged, moved away or begun anew."""
    database.write_bytes(b"garbage" * 1000)
    with pytest.raises(UserError, match=f"^{database}: damaged .*move it away"):
        metadata.outputs_of_run(database, "2024-1")
    database.unlink()
    for _ in range(2):
        with pytest.raises(UserError, match=f"^{database}: it has no record of run 2024-1, "):
            metadata.outputs_of_run(database, "2024-1")
        if not database.exists():
            MetadataStore(metadata.connection(database))


def test_a_database_of_a_newer_release_is_one_line(database: Path) -> None:
    database.unlink()
    MetadataStore(metadata.connection(database))
    with sqlite3.connect(database) as connected:
        connected.execute("UPDATE MLMDEnv SET schema_version = 99")
    for read in (
        lambda: metadata.outputs_of_run(database, "2024-1"),
        lambda: metadata.folders_of_runs(database, {"2024-1"}),
        lambda: metadata.forget_lost(database, set()),
    ):
        with pytest.raises(UserError, match=f"^{database}: .*version 99 is greater") as caught:
            read()
        assert "\n" not in str(caught.value)


class Store:
    """Models, each judged, and pushed as a version unless it was kept out."""

    def __init__(self, workspace: Path) -> None:
        self.database = workspace / "metadata.db"
        self.store = MetadataStore(metadata.connection(self.database))
        self._types = {
            name: self.store.put_artifact_type(mlmd.ArtifactType(name=name))
            for name in ("Model", "ModelBlessing", "PushedModel")
        }
        self._pusher = self.store.put_execution_type(mlmd.ExecutionType(name="Pusher"))

    def add(self, **pushed: str) -> None:
        model = self._put("Model")
        (model_id,) = self.store.put_artifacts([model])
        model.id = model_id
        blessing = self._put("ModelBlessing")
        blessing.custom_properties["current_model_id"].int_value = model_id
        self.store.put_artifacts([blessing])
        artifact = self._put("PushedModel")
        for name, value in pushed.items():
            artifact.custom_properties[name].string_value = value
        events = [mlmd.Event(type=kind) for kind in (mlmd.Event.INPUT, mlmd.Event.OUTPUT)]
        execution = mlmd.Execution(type_id=self._pusher)
        self.store.put_execution(
            execution, [(model, events[0]), (artifact, events[1])], contexts=[]
        )

    def _put(self, kind: str) -> mlmd.Artifact:
        return mlmd.Artifact(type_id=self._types[kind], state=mlmd.Artifact.LIVE)

    def live(self, kind: str) -> list[bool]:
        """Whether each artifact of a type still counts, in the order of the models."""
        found = sorted(self.store.get_artifacts_by_type(kind), key=lambda one: one.id)
        return [one.state == mlmd.Artifact.LIVE for one in found]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    push(tmp_path.resolve() / "serving" / "movierec", 10, 11)
    return tmp_path.resolve()


def add_pushes(store: Store) -> None:
    for number in ("10", "11"):
        store.add(pushed_destination=f"serving/movierec/{number}", pushed_version=number)
    # One that a pin kept out, one that the gate refused.
    store.add(pin_verdict="no better")
    store.add()


def test_only_the_push_of_the_served_version_is_taken_from_the_cache(workspace: Path) -> None:
    store, serving = Store(workspace), workspace / "serving" / "movierec"
    add_pushes(store)
    metadata.forget_superseded_pushes(store.database, serving)
    assert store.live("PushedModel") == [False, True, False, True]
    (serving / PIN_FILE).write_text(Pin(version=10).model_dump_json())
    metadata.forget_superseded_pushes(store.database, serving)
    assert store.live("PushedModel") == [False, False, False, True]


def test_results_that_were_deleted_but_for_their_folders_are_made_again(tmp_path: Path) -> None:
    store = MetadataStore(metadata.connection(tmp_path / "metadata.db"))
    kind = store.put_artifact_type(mlmd.ArtifactType(name="Model"))
    version = tmp_path / "serving" / "8"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    folders = {
        name: tmp_path / "artifacts" / name
        for name in ("Trainer/model/1", "Trainer/model/2", "Gate/release/3", "BaselineModel/8")
    }
    for folder in folders.values():
        folder.mkdir(parents=True)
    (folders["Trainer/model/1"] / "Format-Serving").mkdir()
    (folders["Trainer/model/2"] / "Format-Serving").mkdir()
    (folders["Trainer/model/2"] / "Format-Serving" / "saved_model.pb").touch()
    (folders["BaselineModel/8"] / "Format-Serving").symlink_to(version)
    live = mlmd.Artifact.LIVE
    store.put_artifacts(
        [mlmd.Artifact(type_id=kind, uri=f"artifacts/{name}", state=live) for name in folders]
    )
    metadata.forget_lost(tmp_path / "metadata.db", {("Gate", "release")})
    found = {one.uri.removeprefix("artifacts/"): one.state for one in store.get_artifacts()}
    assert {name for name, state in found.items() if state != live} == {"Trainer/model/1"}


def test_results_in_the_place_of_which_a_workspace_is_a_copy_are_made_again(
    tmp_path: Path,
) -> None:
    """Steps whose Beam works on other machines have absolute paths."""
    old, new = tmp_path / "old", tmp_path / "new"
    for root in (old, new):
        (root / "artifacts" / "Trainer" / "model" / "1").mkdir(parents=True)
        (root / "artifacts" / "Trainer" / "model" / "1" / "saved_model.pb").touch()
    store = MetadataStore(metadata.connection(new / "metadata.db"))
    kind = store.put_artifact_type(mlmd.ArtifactType(name="Model"))
    uris = [str(root / "artifacts" / "Trainer" / "model" / "1") for root in (old, new)]
    store.put_artifacts(
        [mlmd.Artifact(type_id=kind, uri=uri, state=mlmd.Artifact.LIVE) for uri in uris]
    )
    metadata.forget_lost(new / "metadata.db", set())
    assert [one.uri for one in store.get_artifacts() if one.state == mlmd.Artifact.LIVE] == uris[1:]


def test_processes_take_turns(tmp_path: Path) -> None:
    """Each opens the lock anew, as two connections of one process do."""
    connection = metadata.connection(tmp_path / "metadata.db")
    happened = []

    def enter() -> None:
        with metadata.TurnsMetadata(connection):
            happened.append("second enters")

    with metadata.TurnsMetadata(connection):
        second = threading.Thread(target=enter)
        second.start()
        second.join(0.5)
        happened.append("first leaves")
    second.join()
    assert happened == ["first leaves", "second enters"]
