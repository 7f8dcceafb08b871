from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components import push_folder
from models.export.saved_model import write_comparison_group
from pipeline import metadata, summary
from pipeline.config.errors import UserError
from pipeline.pruning import prune
from pipeline.workspace import Workspace
from serving import version_locks
from serving.version_pin import Pin
from tests.components.pushed_files import EMPTY_MODEL
from tests.pipeline.summaries import summary as summary_of

MODEL = "movierec"
# Runs by the number of the version that each pushed, with the holdout RMSE.
RUNS = {10: 0.93, 11: 0.90, 12: 0.94, 13: 0.92, 14: 0.91}


class Store:
    """The records of runs that make one model each."""

    def __init__(self, workspace: Workspace) -> None:
        self.store = MetadataStore(metadata.connection(workspace.metadata_db))
        self._run = self.store.put_context_type(mlmd.ContextType(name="pipeline_run"))
        self._model = self.store.put_artifact_type(mlmd.ArtifactType(name="Model"))
        self._train = self.store.put_execution_type(mlmd.ExecutionType(name="Trainer"))

    def add(self, run_id: str, folder: Path) -> None:
        artifact = mlmd.Artifact(type_id=self._model, uri=str(folder), state=mlmd.Artifact.LIVE)
        event = mlmd.Event(type=mlmd.Event.OUTPUT)
        event.path.steps.add(key="model")
        self.store.put_execution(
            mlmd.Execution(type_id=self._train),
            [(artifact, event)],
            [mlmd.Context(type_id=self._run, name=run_id)],
        )

    def live(self) -> set[str]:
        return {
            Path(artifact.uri).name
            for artifact in self.store.get_artifacts()
            if artifact.state == mlmd.Artifact.LIVE
        }


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path.resolve())


@pytest.fixture
def store(workspace: Workspace) -> Store:
    """Five runs, the second of which made the best model, and what killed ones left."""
    store = Store(workspace)
    for number, rmse in RUNS.items():
        version = workspace.serving(MODEL) / str(number)
        version.mkdir(parents=True)
        (version / "saved_model.pb").write_bytes(EMPTY_MODEL)
        model = workspace.artifacts / "Trainer" / "model" / str(number)
        model.mkdir(parents=True)
        (model / "beam-temp-x").mkdir()
        (model / "beam-temp-x" / "part").touch()
        (workspace.artifacts / "Trainer" / ".system" / "executor_execution" / str(number)).mkdir(
            parents=True
        )
        run = workspace.runs / f"2024-{number}"
        run.mkdir(parents=True)
        figures = summary.Rmse(train=0.8, eval=0.9, holdout=rmse)
        summary.write(
            workspace, summary_of(run_id=run.name, rmse=figures, pushed_model=str(version))
        )
        store.add(run.name, model)
    (workspace.artifacts / "Trainer" / "model" / "99").mkdir()
    (workspace.serving(MODEL) / ".incoming-15").mkdir()
    # Of a rollback that was killed.
    (workspace.serving(MODEL) / ".incoming-16").touch()
    for failed in ("2024-08", "2024-09"):
        (workspace.runs / failed).mkdir()
    return store


def remaining(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.is_dir()}


def test_what_is_served_last_blessed_or_best_stays(workspace: Workspace, store: Store) -> None:
    push_folder.write_pin(str(workspace.serving(MODEL)), Pin(version=12))
    prune(workspace, keep=1)
    # The newest, which is also the last blessed, and the pinned one.
    entries = {entry.name for entry in workspace.serving(MODEL).iterdir()}
    assert entries == {"14", "12", "pin.json"}
    # Their runs, the best one, and the last that failed.
    kept = {"11", "12", "14"}
    assert remaining(workspace.runs) == {f"2024-{number}" for number in (*kept, "09")}
    assert remaining(workspace.artifacts / "Trainer" / "model") == kept
    assert remaining(workspace.artifacts / "Trainer" / ".system" / "executor_execution") == kept
    assert store.live() == kept
    for number in kept:
        assert not remaining(workspace.artifacts / "Trainer" / "model" / number)


def test_the_baseline_of_every_comparison_group_stays(workspace: Workspace, store: Store) -> None:
    """The next run on other data is compared with version 11: its 12 was rolled back."""
    serving = workspace.serving(MODEL)
    for number in RUNS:
        group = "other data" if number < 13 else "this data"
        write_comparison_group(str(serving / str(number)), group)
    push_folder.write_pin(str(serving), Pin(rejected={12: ""}))
    prune(workspace, keep=1)
    assert remaining(serving) == {"11", "14"}


def test_the_one_before_a_damaged_version_stays(workspace: Workspace, store: Store) -> None:
    """Servers answer with it, and the next run is compared with it."""
    serving = workspace.serving(MODEL)
    (serving / "14" / "saved_model.pb").write_bytes(b"damaged")
    prune(workspace, keep=1)
    assert remaining(serving) == {"13", "14"}
    (serving / "13" / "saved_model.pb").write_bytes(b"damaged")
    prune(workspace, keep=1)
    assert remaining(serving) == {"13", "14"}


def test_a_version_that_a_server_has_a_label_for_stays(workspace: Workspace, store: Store) -> None:
    serving = workspace.serving(MODEL)
    with version_locks.held([serving / "11"]):
        prune(workspace, keep=1)
        assert remaining(serving) == {"11", "14"}
    prune(workspace, keep=1)
    assert remaining(serving) == {"14"}


def test_a_pinned_version_with_leading_zeros_stays(workspace: Workspace, store: Store) -> None:
    serving = workspace.serving(MODEL)
    (serving / "12").rename(serving / "0012")
    push_folder.write_pin(str(serving), Pin(version=12))
    prune(workspace, keep=1)
    assert remaining(serving) == {"0012", "14"}


def test_links_to_baselines_go_with_their_versions(workspace: Workspace, store: Store) -> None:
    links = workspace.artifacts / "BaselineModel"
    for number in ("10", "14"):
        (links / number).mkdir(parents=True)
        version = workspace.serving(MODEL) / number
        (links / number / "Format-Serving").symlink_to(version, target_is_directory=True)
    prune(workspace, keep=1)
    assert remaining(links) == {"14"}
    assert remaining(workspace.serving(MODEL)) == {"14"}
    assert prune(workspace, keep=1) == []


def test_a_dry_run_lists_and_removes_nothing(workspace: Workspace, store: Store) -> None:
    before = sorted(workspace.root.rglob("*"))
    listed = prune(workspace, keep=2, dry_run=True)
    assert sorted(set(workspace.root.rglob("*")) - {workspace.root / ".lock"}) == before
    assert len(store.live()) == len(RUNS)
    assert [one.path for one in prune(workspace, keep=2)] == [one.path for one in listed]
    assert not any(one.path.exists() for one in listed)
    sizes = {one.path.name: one.size for one in listed if one.kind == "version"}
    assert sizes == dict.fromkeys(("10", "11", "12"), len(EMPTY_MODEL))
    assert prune(workspace, keep=2) == []


def test_nothing_is_removed_while_a_run_is_under_way(workspace: Workspace, store: Store) -> None:
    with workspace.locked(), pytest.raises(UserError, match="is running in it"):
        prune(workspace, keep=1)
    assert len(store.live()) == len(RUNS)


def test_what_is_being_pushed_stays(workspace: Workspace, store: Store) -> None:
    folder = workspace.serving(MODEL)
    with push_folder.locked(str(folder)):
        prune(workspace, keep=1)
    assert remaining(folder) == {".incoming-15", *map(str, RUNS)}


@pytest.mark.parametrize("first", ["saved_model.pb", "variables"])
def test_a_prune_that_is_killed_leaves_no_half_version(
    workspace: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The order in which a folder's files are removed is that of the file system."""
    serving = workspace.serving(MODEL)
    for number in RUNS:
        (serving / str(number) / "variables").touch()

    def killed(folder: Path) -> None:
        if (folder / first).exists():
            (folder / first).unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(workspace, keep=1)
    for version in (entry for entry in serving.iterdir() if entry.name.isdecimal()):
        assert {entry.name for entry in version.iterdir()} == {"saved_model.pb", "variables"}
    prune(workspace, keep=1)
    assert remaining(serving) == {"14"}


def test_an_empty_workspace_has_nothing_to_remove(workspace: Workspace) -> None:
    with workspace.locked():
        pass
    assert prune(workspace, keep=1) == []


def test_a_folder_that_is_no_workspace_is_left_alone(tmp_path: Path) -> None:
    """Other tools have folders of the same names."""
    theirs = tmp_path / "checkpoints" / "their work"
    theirs.mkdir(parents=True)
    os.utime(theirs, (0, 0))
    (tmp_path / "checkpoints" / "newer").mkdir()
    for folder in (tmp_path, tmp_path / "typing error"):
        with pytest.raises(UserError, match="it is no workspace"):
            prune(Workspace(folder), keep=1)
    assert theirs.exists()
    assert {entry.name for entry in tmp_path.iterdir()} == {"checkpoints"}


def test_what_the_next_run_continues_stays(workspace: Workspace, store: Store) -> None:
    """As after a full disk, whose line says that finished steps are kept."""
    for number in ("15", "16"):
        (workspace.runs / f"2024-{number}").mkdir()
        model = workspace.artifacts / "Trainer" / "model" / number
        model.mkdir()
        store.add(f"2024-{number}", model)
    prune(workspace, keep=1)
    assert "16" in remaining(workspace.artifacts / "Trainer" / "model")
    assert "15" not in remaining(workspace.artifacts / "Trainer" / "model")
    assert {"16"} < store.live()
    assert "2024-16" in remaining(workspace.runs)


def test_the_newest_run_stays_though_its_summary_is_damaged(
    workspace: Workspace, store: Store
) -> None:
    (workspace.runs / "2024-14" / summary.SUMMARY_FILE).write_text("{")
    prune(workspace, keep=1)
    assert "2024-14" in remaining(workspace.runs)
    assert "14" in remaining(workspace.artifacts / "Trainer" / "model")


def test_ratings_of_the_served_model_stay_though_the_database_is_gone(
    workspace: Workspace, store: Store
) -> None:
    """As when it was damaged and moved away: `movierec evaluate` needs them."""
    examples = workspace.artifacts / "MovieLensExampleGen" / "examples"
    for number in RUNS:
        (examples / str(number)).mkdir(parents=True)
        path = workspace.runs / f"2024-{number}" / summary.SUMMARY_FILE
        run = summary.Summary.model_validate_json(path.read_bytes())
        changed = {"examples": str(examples / str(number)), "pushed_model": run.pushed_model}
        path.write_text(run.model_copy(update=changed).model_dump_json())
    workspace.metadata_db.unlink()
    with workspace.locked():
        """A run has left its lock."""
    prune(workspace, keep=1)
    assert remaining(examples) == {"11", "14"}


def test_of_states_of_trainings_the_newest_stay(workspace: Workspace, store: Store) -> None:
    """Ratings have changed since, so nothing would ever continue most of them."""
    for age, name in enumerate(("new", "old", "older")):
        saved = workspace.checkpoints / name / "refit" / "ckpt-1.index"
        saved.parent.mkdir(parents=True)
        saved.write_text("1234")
        for path in (saved, saved.parent, saved.parents[1]):
            os.utime(path, (1e9 - age, 1e9 - age))
    # The newest file counts, not the time at which the folder was made.
    os.utime(workspace.checkpoints / "new", (1e8, 1e8))
    removed = {one.path.name: one.size for one in prune(workspace, keep=2)}
    assert removed["older"] == 4
    assert remaining(workspace.checkpoints) == {"new", "old"}


def test_a_version_that_is_a_link_goes_without_what_it_leads_to(
    workspace: Workspace, store: Store, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "another disk" / "10"
    elsewhere.parent.mkdir()
    link = workspace.serving(MODEL) / "10"
    link.rename(elsewhere)
    link.symlink_to(elsewhere)
    assert {one.path: one.size for one in prune(workspace, keep=1)}[link] == 0
    assert not link.is_symlink()
    assert (elsewhere / "saved_model.pb").exists()
    assert prune(workspace, keep=1) == []


def test_artifacts_stay_though_their_records_have_the_place_of_an_earlier_workspace(
    workspace: Workspace, store: Store
) -> None:
    """As of steps whose Beam works on other machines, in a workspace that was moved."""
    records = store.store.get_artifacts()
    for record in records:
        record.uri = record.uri.replace(str(workspace.root), "/the/old/place")
    store.store.put_artifacts(records)
    prune(workspace, keep=1)
    kept = {"11", "14"}
    assert remaining(workspace.artifacts / "Trainer" / "model") == kept
    assert store.live() == kept


def test_stray_files_among_artifacts_are_left_alone(workspace: Workspace, store: Store) -> None:
    stray = workspace.artifacts / "Trainer" / "model" / "notes.txt"
    stray.touch()
    prune(workspace, keep=1)
    assert stray.exists()
