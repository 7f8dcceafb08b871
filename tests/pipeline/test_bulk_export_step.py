"""The step that exports in bulk, by its executor."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tfx.types import standard_artifacts
from tfx.types.experimental import simple_artifacts

from kubeflow.steps import object_storage
from pipeline import bulk_export, graph
from pipeline.bulk_export_step import EXPORTED_KEY, Executor
from pipeline.config.tree import load_config
from tests.kubeflow import s3_server
from tests.models.export import exported_models

VERSION = "1795376823"
PROPERTIES = {"recommendations": 1, "vectors": 1, "k": 3, "code_fingerprint": ""}


@pytest.fixture(scope="module")
def model(exported_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    # An artifact's folder has a number that is not the version's.
    folder = tmp_path_factory.mktemp("pushed_model") / "23"
    return Path(shutil.copytree(exported_model("biased_mf"), folder))


def run(model: Path, target: str, pushed: bool = True, **properties: Any) -> str:
    """What the step says that it exported."""
    source, made = standard_artifacts.PushedModel(), simple_artifacts.Dataset()
    source.uri, made.uri = str(model), target
    source.set_int_custom_property("pushed", int(pushed))
    if pushed:
        source.set_string_custom_property("pushed_version", VERSION)
    Executor().Do({"pushed_model": [source]}, {"bulk_export": [made]}, {**PROPERTIES, **properties})
    return made.get_string_custom_property(EXPORTED_KEY)


def expected(model: Path, folder: Path) -> pa.Table:
    bulk_export.write(bulk_export.recommendations(model, k=3), folder, lambda: None)
    return pq.read_table(folder)


def test_the_folders_are_those_of_the_command(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert run(model, str(target)) == "recommendations,vectors"
    assert pq.read_table(target / "recommendations") == expected(model, tmp_path / "expected")
    users = pq.read_table(target / "vectors" / "users")
    assert users["user_id"].to_pylist() == exported_models.USER_IDS
    assert VERSION in (target / "recommendations" / bulk_export.DESCRIPTION_FILE).read_text()
    assert sorted(path.name for path in target.iterdir()) == ["recommendations", "vectors"]


def test_nothing_is_exported_when_nothing_was_pushed(model: Path, tmp_path: Path) -> None:
    assert run(model, str(tmp_path / "out"), pushed=False) == ""
    assert not (tmp_path / "out").exists()


def test_what_is_not_wanted_is_not_exported(model: Path, tmp_path: Path) -> None:
    assert run(model, str(tmp_path / "out"), recommendations=0) == "vectors"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["vectors"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[s3_server.Bucket]:
    object_storage.register()
    with s3_server.serving() as url:
        yield s3_server.new_bucket(url, monkeypatch)


def test_an_export_into_object_storage(
    model: Path, tmp_path: Path, bucket: s3_server.Bucket
) -> None:
    assert run(model, f"s3://{bucket.name}/out", vectors=0) == "recommendations"
    objects = bucket.objects()
    assert sorted(objects) == [
        "out/recommendations/_export.json",
        "out/recommendations/part-00000.parquet",
    ]
    found = pq.read_table(pa.BufferReader(objects["out/recommendations/part-00000.parquet"]))
    assert found == expected(model, tmp_path / "expected")


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("in_cluster", [True, False])
def test_it_is_in_the_pipeline_where_something_is_exported(wanted: bool, in_cluster: bool) -> None:
    config = load_config(overrides=[f"bulk_export.vectors={str(wanted).lower()}"])
    places = graph.Locations("/data", "/artifacts", "/checkpoints", "/serving")
    made = graph.create_pipeline(config, places, in_cluster=in_cluster)
    steps = [component.id for component in made.components]
    assert (graph.BULK_EXPORT in steps) is wanted
    if wanted:
        assert steps.index(graph.BULK_EXPORT) > steps.index(graph.PUSHER)
