import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.movierec.cli.command import assert_refused, imported_by, movierec

IMAGE = "registry.example/movierec:1.2"
USUAL = {"--target": "kfp", "--image": IMAGE, "--pipeline-root": "gs://bucket/root"}


def compiled(output: Path, *more: str, **changed: str) -> subprocess.CompletedProcess[str]:
    options = USUAL | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    flat = [word for option in options.items() for word in option]
    return movierec("compile", *flat, "-o", str(output), *more)


@pytest.mark.parametrize(("target", "name"), [("kfp", "job.yaml"), ("vertex", "job.json")])
def test_it_writes_what_the_target_runs(target: str, name: str, tmp_path: Path) -> None:
    config = tmp_path / "cluster.toml"
    config.write_text("[training]\nepochs = 3\n", encoding="utf-8")
    output = tmp_path / "out" / name
    output.parent.mkdir()
    result = compiled(output, "--config", str(config), "--set", "gate.max_rmse=0.96", target=target)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{output}\n"
    assert [entry.name for entry in output.parent.iterdir()] == [name]
    text = output.read_text(encoding="utf-8")
    if target == "kfp":
        declared = yaml.safe_load(text)["root"]["inputDefinitions"]["parameters"]
        assert declared["epochs"]["defaultValue"] == 3
        assert declared["max_rmse"]["defaultValue"] == 0.96
    else:
        values = json.loads(text)["runtimeConfig"]["parameters"]
        assert values["epochs"] == {"intValue": "3"}
        assert values["max_rmse"] == {"doubleValue": 0.96}


@pytest.mark.parametrize(
    ("changed", "more", "message"),
    [
        ({"target": "airflow"}, [], "--target airflow: "),
        ({"image": "movierec"}, [], "--image movierec: "),
        ({"target": "vertex"}, [], ".json"),
        ({"pipeline_root": "hdfs://a/b"}, [], "--pipeline-root hdfs://a/b: "),
        ({"image": "movierec:latest"}, [], "--image movierec:latest: "),
        ({"image": "Movierec:1"}, [], "--image Movierec:1: "),
        ({"name": "a" * 64}, [], "64 characters"),
        ({"name": ""}, [], "--name : "),
        ({"push": ""}, [], "--push : "),
        ({"data": ""}, [], "--data : "),
        ({"data": "/data"}, [], "--data /data: "),
        ({"push": "http://a/b"}, [], "--push http://a/b: "),
        ({}, ["--set", "training.epoch=3"], "training.epoch: "),
        ({}, ["--set", "data.dataset=csv"], "--data: "),
        ({}, ["--set", "training.accelerator=T4"], "training.accelerator=T4: "),
        ({}, ["--set", "training.accelerator_count=2"], "accelerator_count=2: "),
        ({}, ["--set", "kfp.namespace=A_B"], "kfp.namespace: "),
        ({}, ["--set", 'kfp.node_selector={"a b"="c"}'], "a b=c"),
        ({}, ["--set", 'kfp.tolerations=[{key="a", value="b"}]'], "kfp.tolerations"),
        ({}, ["--set", "serving.binary=/a/b"], "serving.binary=/a/b: "),
        # Not in a dry run either, which tries what the image will do.
        (
            {"pipeline_root": "/dry/run"},
            ["--set", "serving.binary=/a/b"],
            "serving.binary=/a/b: ",
        ),
        (
            {},
            ["--set", "beam.runner=spark", "--set", "beam.spark_master_url=spark://a:7077"],
            "beam.spark_master_url: ",
        ),
        ({}, ["--set", "kfp.cpu_limit=0"], "kfp.cpu_limit: "),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    changed: dict[str, str], more: list[str], message: str, tmp_path: Path
) -> None:
    refused(compiled(tmp_path / "job.yaml", *more, **changed), message, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.accelerator=GTX"], "training.accelerator=GTX: "),
        (
            ["training.accelerator=NVIDIA_TESLA_T4", "training.accelerator_count=3"],
            "training.accelerator_count=3: n1-standard-8",
        ),
        (
            ["training.accelerator=NVIDIA_L4"],
            "vertex.machine_type=n1-standard-8: ",
        ),
        (["vertex.machine_type=big"], "vertex.machine_type=big: "),
        (["training.workers=2"], "vertex.project: "),
        (
            ["training.workers=2", "vertex.project=movies-1234"],
            "vertex.region: ",
        ),
        (["vertex.project=My Project"], "vertex.project: "),
    ],
)
def test_machines_that_vertex_lacks_are_refused_before_they_are_paid_for(
    settings: list[str], message: str, tmp_path: Path
) -> None:
    more = [word for setting in settings for word in ("--set", setting)]
    refused(compiled(tmp_path / "job.json", *more, target="vertex"), message, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 114, "114 characters"),
        ("9lives", "--name 9lives: "),
        ("", "--name : "),
    ],
)
def test_a_name_that_vertex_does_not_take(name: str, message: str, tmp_path: Path) -> None:
    refused(compiled(tmp_path / "job.json", target="vertex", name=name), message, tmp_path)


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    refused(compiled(tmp_path / "none" / "job.yaml"), str(tmp_path / "none"), tmp_path)
    # The image, which is checked later, is not named.
    both = compiled(tmp_path / "none" / "job.yaml", image="movierec")
    refused(both, str(tmp_path / "none"), tmp_path)


def refused(result: subprocess.CompletedProcess[str], message: str, folder: Path) -> None:
    assert_refused(result, message)
    assert list(folder.iterdir()) == []


def test_a_mistake_is_found_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    flat = [word for option in USUAL.items() for word in option]
    wrong = ("--set", "data.dataset=csv", "-o", str(tmp_path / "job.yaml"))
    code, modules = imported_by("compile", *flat, *wrong)
    assert code == 1
    assert not {"tfx", "tensorflow", "kfp", "google.cloud.aiplatform"} & modules
