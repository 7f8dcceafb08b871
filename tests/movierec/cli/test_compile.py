import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

IMAGE = "registry.example/movierec:1.2"
USUAL = {"--target": "kfp", "--image": IMAGE, "--pipeline-root": "gs://bucket/root"}


def movierec(output: Path, *more: str, **changed: str) -> subprocess.CompletedProcess[str]:
    options = USUAL | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    flat = [word for option in options.items() for word in option]
    command = [sys.executable, "-m", "movierec", "compile", *flat, "-o", str(output), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("target", "name"), [("kfp", "job.yaml"), ("vertex", "job.json")])
def test_it_writes_what_the_target_runs(target: str, name: str, tmp_path: Path) -> None:
    config = tmp_path / "cluster.toml"
    config.write_text("[training]\nepochs = 3\n", encoding="utf-8")
    output = tmp_path / "out" / name
    output.parent.mkdir()
    result = movierec(output, "--config", str(config), "--set", "gate.max_rmse=0.96", target=target)
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
        ({"target": "airflow"}, [], "--target airflow: unknown; expected one of vertex, kfp"),
        ({"image": "movierec"}, [], "--image movierec: a tag or a digest is expected"),
        ({"target": "vertex"}, [], "expected a name that ends in .json"),
        ({"pipeline_root": "hdfs://a/b"}, [], "--pipeline-root hdfs://a/b: kfp does not reach it"),
        ({"image": "movierec:latest"}, [], "--image movierec:latest: a tag that stays the same"),
        ({"image": "Movierec:1"}, [], "--image Movierec:1: no name of an image"),
        ({"name": "a" * 64}, [], "64 characters; expected at most 63 for kfp"),
        ({"name": ""}, [], "--name : expected lower-case letters, digits and -"),
        ({"push": ""}, [], "--push : kfp does not reach it; expected gs://BUCKET/PATH"),
        ({"data": ""}, [], "--data : kfp does not reach it; expected gs://BUCKET/PATH"),
        ({"data": "/data"}, [], "--data /data: "),
        ({"push": "http://a/b"}, [], "--push http://a/b: kfp does not reach it"),
        ({}, ["--set", "training.epoch=3"], "training.epoch: no such key"),
        ({}, ["--set", "data.dataset=csv"], "--data: not given"),
        ({}, ["--set", "training.accelerator=T4"], "training.accelerator=T4: "),
        ({}, ["--set", "training.accelerator_count=2"], "accelerator_count=2: "),
        ({}, ["--set", "kfp.namespace=A_B"], "kfp.namespace: 'A_B' is not allowed"),
        ({}, ["--set", 'kfp.node_selector={"a b"="c"}'], "a b=c is not a label of Kubernetes"),
        ({}, ["--set", 'kfp.tolerations=[{key="a", value="b"}]'], 'compared by operator "Equal"'),
        (
            {},
            ["--set", "serving.binary=/a/b"],
            "serving.binary=/a/b: ",
        ),
        # Nor in a dry run, which tries what the image will do.
        (
            {"pipeline_root": "/dry/run"},
            ["--set", "serving.binary=/a/b"],
            "serving.binary=/a/b: ",
        ),
        (
            {},
            ["--set", "beam.runner=spark", "--set", "beam.spark_master_url=spark://a:7077"],
            "beam.spark_master_url: the step would start a job server, which needs Java, and the "
            "image has none; expected beam.job_endpoint",
        ),
        ({}, ["--set", "kfp.cpu_limit=0"], "kfp.cpu_limit: 0 is not allowed: more than nothing"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    changed: dict[str, str], more: list[str], message: str, tmp_path: Path
) -> None:
    refused(movierec(tmp_path / "job.yaml", *more, **changed), message, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.accelerator=GTX"], "training.accelerator=GTX: "),
        (
            ["training.accelerator=NVIDIA_TESLA_T4", "training.accelerator_count=3"],
            "training.accelerator_count=3: n1-standard-8 has 1, 2 or 4 NVIDIA_TESLA_T4",
        ),
        (
            ["training.accelerator=NVIDIA_L4"],
            "vertex.machine_type=n1-standard-8: has no NVIDIA_L4; expected g2-standard-4,",
        ),
        (["vertex.machine_type=big"], "vertex.machine_type=big: "),
        (["training.workers=2"], "vertex.project: not given; training.workers=2 needs"),
        (
            ["training.workers=2", "vertex.project=movies-1234"],
            "vertex.region: not given; training.workers=2 needs",
        ),
        (["vertex.project=My Project"], "vertex.project: 'My Project' is not allowed"),
    ],
)
def test_machines_that_vertex_lacks_are_told_before_they_are_paid_for(
    settings: list[str], message: str, tmp_path: Path
) -> None:
    more = [word for setting in settings for word in ("--set", setting)]
    refused(movierec(tmp_path / "job.json", *more, target="vertex"), message, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 114, "114 characters; expected at most 113 for vertex"),
        ("9lives", "--name 9lives: expected lower-case letters, digits and -, with a letter first"),
        ("", "--name : expected lower-case letters, digits and -, with a letter first"),
    ],
)
def test_a_name_that_vertex_does_not_take(name: str, message: str, tmp_path: Path) -> None:
    refused(movierec(tmp_path / "job.json", target="vertex", name=name), message, tmp_path)


def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    refused(movierec(tmp_path / "none" / "job.yaml"), "there is no folder", tmp_path)
    # Of what comes after it, nothing was looked at.
    both = movierec(tmp_path / "none" / "job.yaml", image="movierec")
    refused(both, "there is no folder", tmp_path)


def refused(result: subprocess.CompletedProcess[str], message: str, folder: Path) -> None:
    assert result.returncode == 1
    assert message in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("movierec: ")
    assert result.stdout == ""
    assert list(folder.iterdir()) == []


def test_a_mistake_is_told_before_anything_heavy_is_imported() -> None:
    script = (
        "import sys\n"
        "from kubeflow.compiling.compile_options import CompileOptions\n"
        "from pipeline.config.tree import load_config\n"
        "print({'tfx', 'tensorflow', 'kfp', 'google.cloud.aiplatform'} & set(sys.modules))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
