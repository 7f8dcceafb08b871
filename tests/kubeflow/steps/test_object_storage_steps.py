"""Steps of a compiled pipeline whose data, models and root are in a storage that speaks S3."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.io import fileio

from components.drift.report import NAMES
from components.gate.release import STATISTICS_FILE
from components.movielens_example_gen import input_files
from components.movielens_example_gen.readers import csv_folder
from components.pushed_baseline import newest_comparable
from kubeflow import step_command
from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.compiling.compiler import CompiledPipeline
from kubeflow.parameters import ACCEPT_DRIFT
from kubeflow.steps import run_step
from kubeflow.steps.checkpoints import with_local_checkpoints
from kubeflow.steps.object_storage import ObjectStorage
from kubeflow.targets import Target
from models.export.saved_model import COMPARISON_GROUP_FILE
from pipeline import SCHEMA_FILE
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config
from tests.components import ingest_reports, weekly_ratings
from tests.components.pushed_files import EMPTY_MODEL
from tests.components.weekly_ratings import week
from tests.kubeflow import s3_server, trainer_step
from tests.kubeflow.s3_server import Bucket

CHECKPOINTS = "{{$.inputs.parameters['pipelinechannel--pipeline_root']}}/checkpoints"
SAVED_MODEL = "saved_model.pb"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with s3_server.serving() as found:
        yield found


@pytest.fixture
def bucket(url: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return s3_server.new_bucket(url, monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    exported = folder / "Format-Serving"
    for name in (SAVED_MODEL, "variables/variables.index", COMPARISON_GROUP_FILE):
        (exported / name).parent.mkdir(parents=True, exist_ok=True)
        (exported / name).write_text(name)
    return folder


class Run:
    """One run of a pipeline, its artifacts where the launcher puts them and takes them from."""

    def __init__(self, scheme: str, bucket: Bucket, folder: Path) -> None:
        self.root = f"{scheme}://{bucket.name}/root"
        self.data = f"{scheme}://{bucket.name}/data"
        self.push = f"{scheme}://{bucket.name}/push"
        self._folder = folder
        self.pipeline: CompiledPipeline = compiler.compile_pipeline(
            load_config(overrides=["data.dataset=csv"]),
            CompileOptions(
                Target.KFP, "registry.example/movierec:1.2", self.root, self.data, self.push
            ),
        )

    def step(self, task: str, **given: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        """What the step tells the platform.

        Args:
            task: the step's.
            given: path and metadata of each input artifact.
        """
        output = self._folder / task / "output.json"
        executor_input = trainer_step.executor_input(
            self.pipeline, given, str(self._folder / task), output, task
        )
        arguments = trainer_step.arguments(self.pipeline, executor_input, task)
        run_step.main(step_command.parse(["run_step", *arguments]))
        told: dict[str, Any] = json.loads(output.read_text())
        return told

    def constant(self, task: str, name: str) -> Any:
        source = self.pipeline.spec["root"]["dag"]["tasks"][task]["inputs"]["parameters"][name]
        return source["runtimeValue"]["constant"]


@pytest.mark.parametrize("scheme", ["s3", "minio"])
def test_data_is_read_and_a_model_is_pushed_and_found_again(
    scheme: str, bucket: Bucket, model: Path, tmp_path: Path
) -> None:
    run = Run(scheme, bucket, tmp_path / "run")
    files = {name: name.encode() * 3 for name in ("ratings.csv", "movies.csv")}
    for name, written in files.items():
        bucket.put(f"data/{name}", written)

    run.step("data-fingerprint")
    expected = hashlib.sha256(b"".join(name.encode() + b"\0" + files[name] for name in files))
    found = tmp_path / "run" / "data-fingerprint" / "input_fingerprint"
    assert found.read_text() == expected.hexdigest()
    with input_files.local_files(run.data, csv_folder.EDITION) as copies:
        assert {name: Path(one.path).read_bytes() for name, one in copies.items()} == files

    run.step("baseline-model", model=(str(tmp_path / "candidate"), {}))
    baseline = tmp_path / "run" / "baseline-model" / "baseline_model"
    assert not list(baseline.iterdir())

    group = run.constant("baseline-model", "comparison_group")
    (model / "Format-Serving" / COMPARISON_GROUP_FILE).write_text(group)
    blessed = {"blessed": 1}
    told = run.step(
        "pusher",
        model=(str(model), {}),
        model_blessing=(str(tmp_path / "blessing"), blessed),
        infra_blessing=(str(tmp_path / "infra"), blessed),
    )
    (pushed,) = told["artifacts"]["pushed_model"]["artifacts"]
    assert pushed["metadata"]["pushed"] == 1
    version = f"{run.push}/{pushed['metadata']['pushed_version']}"
    assert pushed["metadata"]["pushed_destination"] == version
    key = version.partition(f"{bucket.name}/")[2]
    assert {name: text for name, text in bucket.objects().items() if key in name} == {
        f"{key}/{name}": (model / "Format-Serving" / name).read_bytes()
        for name in (SAVED_MODEL, "variables/variables.index", COMPARISON_GROUP_FILE)
    }

    run.step("baseline-model", model=(str(tmp_path / "candidate"), {}))
    for name in (SAVED_MODEL, "variables/variables.index", COMPARISON_GROUP_FILE):
        original = model / "Format-Serving" / name
        assert (baseline / "Format-Serving" / name).read_bytes() == original.read_bytes()


def test_half_a_push_is_no_version(
    bucket: Bucket, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage fails at the last file, which must be the one that makes a version of it."""
    run = Run("s3", bucket, tmp_path / "run")
    opened = ObjectStorage.open

    def failing(name: str, mode: str = "r") -> Any:
        if mode == "wb" and name.endswith(SAVED_MODEL):
            raise UserError(f"{name}: the storage is full")
        return opened(name, mode)

    monkeypatch.setattr(ObjectStorage, "open", failing)
    with pytest.raises(SystemExit, match=r"movierec: s3://.*: the storage is full"):
        run.step(
            "pusher",
            model=(str(model), {}),
            model_blessing=(str(tmp_path / "blessing"), {"blessed": 1}),
            infra_blessing=(str(tmp_path / "infra"), {"blessed": 1}),
        )
    names = {key.rpartition("/")[2] for key in bucket.objects()}
    # What marks a folder ends with a slash.
    assert names - {""} == {"variables.index", Path(COMPARISON_GROUP_FILE).name}
    assert fileio.listdir(run.push)
    assert newest_comparable(run.push, COMPARISON_GROUP_FILE) is None


def test_a_storage_that_does_not_answer_is_no_missing_baseline(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run("minio", bucket, tmp_path / "run")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(SystemExit) as ended:
        run.step("baseline-model", model=(str(tmp_path / "candidate"), {}))
    assert str(ended.value).startswith(f"movierec: {run.push}: http://127.0.0.1:1: ")
    assert "\n" not in str(ended.value)


def test_data_that_moved_since_the_last_push_stops_a_run_until_it_is_accepted(
    bucket: Bucket, tmp_path: Path
) -> None:
    run = Run("s3", bucket, tmp_path / "run")
    group = run.constant("drift-validator", "comparison_group")
    for name, content in (
        (SAVED_MODEL, EMPTY_MODEL),
        (COMPARISON_GROUP_FILE, group.encode()),
        (STATISTICS_FILE, train_statistics(26)),
    ):
        bucket.put(f"push/8/{name}", content)
    split = tmp_path / "statistics" / "Split-train"
    split.mkdir(parents=True)
    (split / "FeatureStats.pb").write_bytes(train_statistics(13))
    examples = tmp_path / "examples"
    ingest_reports.write(examples)
    given = {
        "examples": (str(examples), {}),
        "statistics": (str(split.parent), {"split_names": '["train"]'}),
        "schema": (str(SCHEMA_FILE.parent), {}),
    }
    with pytest.raises(SystemExit, match=r"movierec: .*version 8.*--accept-drift ratings,users"):
        run.step("drift-validator", **given)
    run.pipeline = replace(
        run.pipeline,
        parameters=tuple(
            replace(one, value=",".join(NAMES)) if one.name == ACCEPT_DRIFT else one
            for one in run.pipeline.parameters
        ),
    )
    run.step("drift-validator", **given)
    report = json.loads((tmp_path / "run" / "drift-validator" / "drift" / "drift.json").read_text())
    assert report["version"] == "8"
    assert {"ratings", "users"} <= set(report["accepted"])


def train_statistics(number: int) -> bytes:
    ratings = week(number)
    content: bytes = weekly_ratings.train_statistics(ratings, ratings.stars).SerializeToString()
    return content


@pytest.mark.parametrize(
    ("root", "local"), [("s3://b/root", True), ("minio://b/root", True), ("gs://b/root", False)]
)
def test_checkpoints_are_kept_where_tensorflow_can_write(
    root: str, local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever root the pipeline was compiled with: a run is given another."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = {"checkpoints": CHECKPOINTS, "training": {"epochs": 3}}
    values = {"custom_config": json.dumps(settings), "pipelinechannel--pipeline_root": root}
    given = run_step.prepared({"inputs": {"parameterValues": values}})
    found = with_local_checkpoints(given)["inputs"]["parameterValues"]
    folder = str(tmp_path / "movierec" / "checkpoints") if local else f"{root}/checkpoints"
    assert json.loads(found["custom_config"]) == {**settings, "checkpoints": folder}


@pytest.mark.parametrize("values", [{}, {"custom_config": "null"}, {"custom_config": '{"a": 1}'}])
def test_other_steps_are_given_what_they_were(values: dict[str, str]) -> None:
    given = {"inputs": {"parameterValues": values}}
    assert with_local_checkpoints(given) == given
