from pathlib import Path

import ml_metadata
import pytest
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts

from components.baseline_evaluator import without_empty_baseline
from components.pushed_baseline import (
    Executor,
    PushedBaselineStrategy,
    baseline_for,
    newest_comparable,
    why_none,
)
from models.export.saved_model import COMPARISON_GROUP_FILE, write_comparison_group


def push(
    folder: Path, version: str, group: str | None, complete: bool = True, export: str = ""
) -> Path:
    """Pushes an export, which the text in its fingerprint stands for."""
    pushed = folder / version
    (pushed / "variables").mkdir(parents=True)
    (pushed / "variables" / "variables.index").write_text(version)
    (pushed / "fingerprint.pb").write_text(export or version)
    if group is not None:
        write_comparison_group(str(pushed), group)
    if complete:
        (pushed / "saved_model.pb").write_text(version)
    return pushed


def run(pushed: Path, group: str, uri: Path) -> standard_artifacts.Model:
    model = standard_artifacts.Model()
    model.uri = str(uri)
    properties = {"pushed": str(pushed), "comparison_group": group}
    Executor().Do({"model": [trained(uri.parent)]}, {"baseline_model": [model]}, properties)
    return model


def trained(folder: Path, export: str = "new") -> standard_artifacts.Model:
    """A model as the Trainer leaves it."""
    model = standard_artifacts.Model()
    model.uri = str(folder / f"trained-{export}")
    exported = Path(model.uri) / "Format-Serving"
    exported.mkdir(parents=True, exist_ok=True)
    (exported / "fingerprint.pb").write_text(export)
    return model


def test_the_newest_comparable_version_is_the_baseline(tmp_path: Path) -> None:
    pushed = tmp_path / "pushed"
    push(pushed, "9", "a")
    newest = push(pushed, "10", "a")
    push(pushed, "11", "b")
    push(pushed, "12", None)
    push(pushed, "13", "a", complete=False)
    push(pushed, ".incoming-14", "a")
    assert newest_comparable(str(pushed), "a") == str(newest)
    model = run(pushed, "a", tmp_path / "baseline")
    exported = Path(model.uri) / "Format-Serving"
    assert (exported / "saved_model.pb").read_text() == "10"
    assert (exported / "variables" / "variables.index").read_text() == "10"
    assert (exported / COMPARISON_GROUP_FILE).read_text() == "a"
    kept = without_empty_baseline({"baseline_model": [model]})
    assert kept["baseline_model"] == [model]


def test_without_a_comparable_version_the_baseline_is_empty(tmp_path: Path) -> None:
    pushed = tmp_path / "pushed"
    push(pushed, "9", "b")
    for folder in (pushed, tmp_path / "nowhere"):
        assert newest_comparable(str(folder), "a") is None
        model = run(folder, "a", tmp_path / f"baseline-of-{folder.name}")
        assert list(Path(model.uri).iterdir()) == []
        # TFX takes an empty list for no baseline.
        assert without_empty_baseline({"baseline_model": [model]}) == {"baseline_model": []}


def test_a_folder_that_cannot_be_read_is_no_missing_baseline(tmp_path: Path) -> None:
    with pytest.raises(tf.errors.UnimplementedError, match="scheme 'abc' not implemented"):
        newest_comparable("abc://bucket/pushed", "a")
    file = tmp_path / "pushed"
    file.write_text("no folder")
    with pytest.raises(fileio.NotFoundError):
        newest_comparable(str(file), "a")


def test_other_inputs_of_the_evaluator_stay() -> None:
    examples = standard_artifacts.Examples()
    assert without_empty_baseline({"examples": [examples]}) == {
        "examples": [examples],
        "baseline_model": [],
    }


def test_a_model_is_not_compared_with_itself(tmp_path: Path) -> None:
    """It keeps the baseline that it was blessed against, however often it was pushed."""
    pushed = tmp_path / "pushed"
    candidate = str(Path(trained(tmp_path, "A").uri) / "Format-Serving")
    push(pushed, "8", "a", export="A")
    assert baseline_for(candidate, str(pushed), "a") is None
    other = push(pushed, "9", "a", export="B")
    push(pushed, "10", "a", export="A")
    assert baseline_for(candidate, str(pushed), "a") == str(other)
    (other / "fingerprint.pb").unlink()
    assert baseline_for(candidate, str(pushed), "a") == str(other)


def test_another_seed_or_name_says_that_nothing_is_compared(tmp_path: Path) -> None:
    assert why_none(str(tmp_path), "mine") == "no blessed model to compare with"
    push(tmp_path, "9", "mine")
    assert why_none(str(tmp_path), "mine") == "no blessed model to compare with"
    push(tmp_path, "10", "seed 1")
    push(tmp_path, "11", "seed 2")
    push(tmp_path, "12", "half", complete=False)
    reason = why_none(str(tmp_path), "mine")
    assert reason.startswith("nothing is compared")
    assert reason.endswith("there are seed 1, seed 2")


def resolve(folder: Path, store: ml_metadata.MetadataStore, export: str) -> list[tuple[int, str]]:
    """The ids of the baselines that the strategy finds, and the exports that they hold."""
    strategy = PushedBaselineStrategy(
        pushed=str(folder / "pushed"), comparison_group="a", folder=str(folder / "artifacts")
    )
    candidate = trained(folder, export)
    found = strategy.resolve_artifacts(store, {"model": [candidate], "baseline_model": []})
    # TFX drops all outputs if one is missing, and artifacts that are not live.
    assert set(found) == {"model", "baseline_model"}
    for model in found["baseline_model"]:
        (stored,) = store.get_artifacts_by_id([model.id])
        assert stored.state == metadata_store_pb2.Artifact.LIVE
    return [
        (model.id, (Path(model.uri) / "Format-Serving" / "fingerprint.pb").read_text())
        for model in found["baseline_model"]
    ]


def test_the_local_lookup_gives_the_same_artifact_while_the_version_is_newest(
    tmp_path: Path,
) -> None:
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(tmp_path / "metadata.db")
    store = ml_metadata.MetadataStore(connection)
    store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model"))
    assert resolve(tmp_path, store, "A") == []
    push(tmp_path / "pushed", "8", "a", export="A")
    push(tmp_path / "pushed", "9", "b", export="X")
    assert resolve(tmp_path, store, "A") == []
    (first,) = resolve(tmp_path, store, "B")
    assert first[1] == "A"
    assert resolve(tmp_path, store, "B") == [first]
    push(tmp_path / "pushed", "10", "a", export="B")
    (second,) = resolve(tmp_path, store, "C")
    assert second[1] == "B"
    assert second[0] != first[0]
    assert resolve(tmp_path, store, "B") == [first]


def empty_store() -> ml_metadata.MetadataStore:
    """Metadata of no run."""
    connection = metadata_store_pb2.ConnectionConfig()
    connection.fake_database.SetInParent()
    store = ml_metadata.MetadataStore(connection)
    store.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model"))
    return store


def test_the_local_lookup_needs_no_artifacts_of_earlier_runs(tmp_path: Path) -> None:
    """The metadata and the artifacts are gone; the pushed model is the memory."""
    push(tmp_path / "pushed", "8", "a", export="A")
    assert [export for _, export in resolve(tmp_path, empty_store(), "B")] == ["A"]


@pytest.mark.parametrize("moved", ["artifacts", "pushed"])
def test_the_local_lookup_works_where_a_folder_is_a_link_to_another_volume(
    tmp_path: Path, moved: str
) -> None:
    (tmp_path / "volume" / "of" / "many").mkdir(parents=True)
    (tmp_path / "volume" / "of" / "many" / moved).mkdir()
    (tmp_path / moved).symlink_to(tmp_path / "volume" / "of" / "many" / moved)
    push(tmp_path / "pushed", "8", "a", export="A")
    assert [export for _, export in resolve(tmp_path, empty_store(), "B")] == ["A"]


def test_a_version_whose_group_is_damaged_is_compared_with_nothing(tmp_path: Path) -> None:
    good = push(tmp_path / "pushed", "7", "group")
    bad = push(tmp_path / "pushed", "8", "group")
    (bad / COMPARISON_GROUP_FILE).write_bytes(b"\xff\xfe")
    assert newest_comparable(str(tmp_path / "pushed"), "group") == str(good)
