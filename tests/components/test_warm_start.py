"""Which pushed model a warm start begins with."""

import shutil
from pathlib import Path

import ml_metadata
import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.types import standard_artifacts

from components import push_folder
from components.gate.record import GateRecord
from components.gate.release import write_record
from components.warm_start import Executor, WarmStartStrategy, source_for
from models.export.saved_model import TRAINING_WEIGHTS_FILE
from serving.version_pin import Pin
from tests.components import ingest_reports
from tests.components.test_pushed_baseline import push

GROUP = "group"


def ratings(folder: Path, fingerprint: str, until: int) -> str:
    """An examples artifact with its report alone."""
    ingest_reports.write(folder, fingerprint=fingerprint, trained_until=until)
    return str(folder)


def blessed(pushed: Path, version: str, data: str, until: int, weights: bool = True) -> str:
    folder = push(pushed, version, GROUP)
    record = GateRecord(rmse=0.9, ndcg=None, data_fingerprint=data, trained_until=until)
    write_record(str(folder), record)
    if weights:
        (folder / TRAINING_WEIGHTS_FILE).write_bytes(version.encode())
    return str(folder)


@pytest.fixture
def pushed(tmp_path: Path) -> Path:
    pushed = tmp_path / "pushed"
    blessed(pushed, "1", "week 1", 100)
    blessed(pushed, "2", "week 2", 200)
    blessed(pushed, "3", "week 3", 300, weights=False)
    push(pushed, "4", GROUP)
    return pushed


@pytest.mark.parametrize(
    ("data", "until", "group", "version"),
    [
        # The newest that keeps its weights and says what it was trained on.
        ("week 5", 500, GROUP, "2"),
        # Never one of the same ratings: a run on unchanged data comes from the cache.
        ("week 2", 200, GROUP, "1"),
        # Nor one of newer ratings, which may be this holdout.
        ("week 1 again", 150, GROUP, "1"),
        ("week 1", 100, GROUP, None),
        ("week 5", 500, "another split", None),
    ],
)
def test_the_source_is_the_newest_of_other_and_older_ratings(
    tmp_path: Path, pushed: Path, data: str, until: int, group: str, version: str | None
) -> None:
    examples = ratings(tmp_path / "examples", data, until)
    found = source_for(examples, str(pushed), group)
    assert found == (None if version is None else str(pushed / version))


def test_a_version_that_was_removed_or_rolled_back_starts_nothing(
    tmp_path: Path, pushed: Path
) -> None:
    examples = ratings(tmp_path / "examples", "week 5", 500)
    push_folder.write_pin(str(pushed), Pin(version=1, rejected={2: "", 3: "", 4: ""}))
    assert source_for(examples, str(pushed), GROUP) == str(pushed / "1")
    push_folder.write_pin(str(pushed), Pin())
    assert source_for(examples, str(pushed), GROUP) == str(pushed / "2")
    shutil.rmtree(pushed / "2")
    assert source_for(examples, str(pushed), GROUP) == str(pushed / "1")
    shutil.rmtree(pushed / "1")
    assert source_for(examples, str(pushed), GROUP) is None


def run(examples: str, pushed: Path, output: Path) -> Path:
    data, model = standard_artifacts.Examples(), standard_artifacts.Model()
    data.uri, model.uri = examples, str(output)
    properties = {"pushed": str(pushed), "comparison_group": GROUP}
    Executor().Do({"examples": [data]}, {"base_model": [model]}, properties)
    return output


def test_the_step_copies_the_weights_alone(tmp_path: Path, pushed: Path) -> None:
    output = run(ratings(tmp_path / "data", "week 5", 500), pushed, tmp_path / "out")
    files = [path for path in output.rglob("*") if path.is_file()]
    assert files == [output / "Format-Serving" / TRAINING_WEIGHTS_FILE]
    assert files[0].read_text() == "2"


def test_the_first_run_starts_from_nothing(tmp_path: Path) -> None:
    examples = ratings(tmp_path / "data", "week 1", 100)
    assert list(run(examples, tmp_path / "pushed", tmp_path / "out").iterdir()) == []


def test_the_artifact_is_the_same_while_the_version_is(tmp_path: Path, pushed: Path) -> None:
    """The cache key of the Trainer has its number."""
    data = standard_artifacts.Examples()
    data.uri = ratings(tmp_path / "data", "week 5", 500)
    strategy = WarmStartStrategy(str(pushed), GROUP, str(tmp_path / "links"))
    connection = metadata_store_pb2.ConnectionConfig()
    connection.fake_database.SetInParent()
    known = ml_metadata.MetadataStore(connection)
    known.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model"))
    first, again = (
        strategy.resolve_artifacts(known, {"examples": [data]})["base_model"] for _ in range(2)
    )
    assert [model.id for model in first] == [model.id for model in again]
    weights = Path(first[0].uri) / "Format-Serving" / TRAINING_WEIGHTS_FILE
    assert weights.read_text() == "2"
    blessed(pushed, "5", "week 4", 400)
    (newer,) = strategy.resolve_artifacts(known, {"examples": [data]})["base_model"]
    assert newer.id != first[0].id
