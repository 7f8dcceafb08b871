from pathlib import Path

import pytest
import tensorflow as tf
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts

from components.baseline_evaluator import without_empty_baseline
from components.pushed_baseline import Executor, newest_comparable
from models.export.saved_model import COMPARISON_GROUP_FILE, write_comparison_group


def push(folder: Path, version: str, group: str | None, complete: bool = True) -> Path:
    pushed = folder / version
    (pushed / "variables").mkdir(parents=True)
    (pushed / "variables" / "variables.index").write_text(version)
    if group is not None:
        write_comparison_group(str(pushed), group)
    if complete:
        (pushed / "saved_model.pb").write_text(version)
    return pushed


def run(pushed: Path, group: str, uri: Path) -> standard_artifacts.Model:
    model = standard_artifacts.Model()
    model.uri = str(uri)
    properties = {"pushed": str(pushed), "comparison_group": group}
    Executor().Do({}, {"baseline_model": [model]}, properties)
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
