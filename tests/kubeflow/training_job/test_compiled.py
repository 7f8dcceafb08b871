"""The Trainer's step of a compiled pipeline, where several workers train on Kubeflow."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2
from kubernetes import client
from tfx.components.trainer.executor import GenericExecutor

from kubeflow import step_command
from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.compiling.compiler import CompiledPipeline
from kubeflow.steps import run_step
from kubeflow.targets import Target
from kubeflow.training_job import executor, manifest, step
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config
from tests.kubeflow.kubernetes_api import Api, serve
from tests.kubeflow.trainer_step import arguments, container, executor_input

IMAGE = "registry.example/movierec:1.2"
ROOT = "gs://bucket/root"
TWO = ("training.workers=2", "training.accelerator=NVIDIA_TESLA_T4")
# What GKE labels and taints its nodes with that have such a GPU.
GPU_NODE = {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}
GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


@cache
def compiled(*overrides: str, root: str = ROOT, target: Target = Target.KFP) -> CompiledPipeline:
    options = CompileOptions(target=target, image=IMAGE, pipeline_root=root)
    return compiler.compile_pipeline(load_config(overrides=overrides), options)


def given(output: Path) -> dict[str, Any]:
    return executor_input(
        compiled(*TWO),
        {
            "examples": (f"{ROOT}/1/examples", {"split_names": '["train", "eval"]'}),
            "transform_graph": (f"{ROOT}/1/graph", {}),
        },
        f"{ROOT}/1",
        output,
    )


def test_the_trainer_alone_has_the_job_and_nothing_of_it_is_in_the_cache_key() -> None:
    (variable,) = container(compiled(*TWO))["env"]
    assert variable["name"] == manifest.VARIABLE
    assert json.loads(variable["value"]) == manifest.template(
        load_config(overrides=TWO), IMAGE, "movierec"
    )
    for name, entry in compiled(*TWO).spec["deploymentSpec"]["executors"].items():
        assert ("env" in entry["container"]) == (name == "exec-trainer")
        # The GPUs are the replicas'.
        assert "resources" not in entry["container"]
    alone = compiled()
    for key in ("image", "command", "args"):
        assert container(compiled(*TWO))[key] == container(alone)[key]
    tasks = [
        pipeline.spec["root"]["dag"]["tasks"]["trainer"] for pipeline in (compiled(*TWO), alone)
    ]
    assert tasks[0] == tasks[1]
    parts = [pipeline.spec["components"]["comp-trainer"] for pipeline in (compiled(*TWO), alone)]
    assert parts[0] == parts[1]


def test_the_replicas_alone_have_the_gpus_and_go_to_their_nodes() -> None:
    job = json.loads(container(compiled(*TWO))["env"][0]["value"])
    replicas = job["spec"]["tfReplicaSpecs"]
    assert {kind: entry["replicas"] for kind, entry in replicas.items()} == {
        "Chief": 1,
        "Worker": 1,
    }
    for entry in replicas.values():
        pod = entry["template"]["spec"]
        assert [one["resources"] for one in pod["containers"]] == [
            {"limits": {"nvidia.com/gpu": "1"}}
        ]
        assert pod["nodeSelector"] == GPU_NODE
        assert pod["tolerations"] == [GPU_TAINT]
    # The step that makes the job and waits for it runs anywhere: the spec has no platforms.
    assert compiled(*TWO).platforms == {}
    assert list(yaml.safe_load_all(compiled(*TWO).text())) == [compiled(*TWO).spec]


def test_the_tuner_beside_them_has_a_gpu_and_a_node_of_its_own() -> None:
    pipeline = compiled(*TWO, "tuning.enabled=true")
    assert container(pipeline, "tuner")["resources"]["accelerator"] == {
        "type": "nvidia.com/gpu",
        "count": "1",
    }
    executors = pipeline.spec["deploymentSpec"]["executors"]
    with_resources = [name for name, step in executors.items() if "resources" in step["container"]]
    assert with_resources == ["exec-tuner"]
    # A KubernetesExecutorConfig for the one step.
    pod = {"nodeSelector": {"labels": GPU_NODE}, "tolerations": [GPU_TAINT]}
    expected = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-tuner": pod}}}}}
    assert pipeline.platforms == expected
    assert list(yaml.safe_load_all(pipeline.text())) == [pipeline.spec, expected]
    spec = json_format.ParseDict(expected, pipeline_spec_pb2.PlatformSpec())
    (config,) = spec.platforms["kubernetes"].deployment_spec.executors.values()
    read = json_format.ParseDict(
        json_format.MessageToDict(config),
        kubernetes_executor_config_pb2.KubernetesExecutorConfig(),
    )
    assert dict(read.node_selector.labels) == GPU_NODE
    (toleration,) = read.tolerations
    assert (toleration.key, toleration.operator, toleration.effect) == (
        "nvidia.com/gpu",
        "Exists",
        "NoSchedule",
    )


def test_it_is_of_the_published_schema() -> None:
    spec = json_format.ParseDict(compiled(*TWO).spec, pipeline_spec_pb2.PipelineSpec())
    deployment = json_format.ParseDict(
        json_format.MessageToDict(spec.deployment_spec),
        pipeline_spec_pb2.PipelineDeploymentConfig(),
    )
    (variable,) = deployment.executors["exec-trainer"].container.env
    assert json.loads(variable.value)["kind"] == "TFJob"
    assert components.load_component_from_text(compiled(*TWO).text()).name == "movierec"


def test_other_roots_and_platforms_have_none() -> None:
    with pytest.raises(UserError, match=r"--pipeline-root s3://bucket/root: TensorFlow does not"):
        compiled(*TWO, root="s3://bucket/root")
    assert "env" not in container(compiled(root="s3://bucket/root"))
    vertex = compiled(
        *TWO, "vertex.project=movies-1234", "vertex.region=us-central1", target=Target.VERTEX
    )
    assert manifest.VARIABLE not in {entry["name"] for entry in container(vertex)["env"]}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cluster in which every job has succeeded as soon as one looks."""
    api = Api(changed=lambda job: job.update(status={
        "conditions": [{"type": "Succeeded", "status": "True"}]
    }))  # fmt: skip
    server = serve(api)
    monkeypatch.setattr(step, "connect", lambda: client.ApiClient(client.Configuration(api.url)))
    monkeypatch.setenv(manifest.VARIABLE, container(compiled(*TWO))["env"][0]["value"])
    yield api
    server.shutdown()
    server.server_close()


def test_what_the_platform_is_told_is_what_it_is_told_of_one_machine(
    cluster: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought: list[str] = []
    files = SimpleNamespace(exists=lambda path: not sought.append(path))
    monkeypatch.setattr(executor, "fileio", files)
    output = tmp_path / "output.json"
    command = ["run_step", *arguments(compiled(*TWO), given(output))]
    run_step.run(step_command.parse(command))
    told = json.loads(output.read_text())
    assert sought == [f"{ROOT}/1/model/Format-Serving"]
    (job,) = cluster.jobs.values()
    for replicas in job["spec"]["tfReplicaSpecs"].values():
        (replica,) = replicas["template"]["spec"]["containers"]
        handed, _ = step_command.parse(
            ["replica", *(t.replace("$$", "$") for t in replica["args"])]
        )
        assert handed.executor_class_path == "tfx.components.trainer.executor.GenericExecutor"
        message = json.loads(handed.json_serialized_invocation_args)
        assert set(message["outputs"]["artifacts"]) == {"model", "model_run"}
        inputs = message["inputs"]
        # Which Kubeflow does not tell the step.
        titles = {
            name: yaml.safe_load(listed["artifacts"][0]["type"]["instanceSchema"])["title"]
            for name, listed in inputs["artifacts"].items()
        }
        assert titles == {"examples": "tfx.Examples", "transform_graph": "tfx.TransformGraph"}
        values = inputs["parameterValues"]
        assert json.loads(values["custom_config"])["checkpoints"] == f"{ROOT}/checkpoints"
        assert json.loads(values["custom_config"])["training"]["epochs"] > 0

    output.unlink()
    monkeypatch.delenv(manifest.VARIABLE)
    monkeypatch.setattr(GenericExecutor, "Do", lambda *_: None)
    run_step.run(step_command.parse(command))
    assert told == json.loads(output.read_text())
    (model,) = told["artifacts"]["model"]["artifacts"]
    assert model["uri"] == f"{ROOT}/1/model"
    assert len(cluster.jobs) == 1


def test_a_job_that_leaves_no_model_is_a_failure(
    cluster: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(executor, "fileio", SimpleNamespace(exists=lambda _: False))
    output = tmp_path / "output.json"
    with pytest.raises(SystemExit) as ended:
        run_step.main(step_command.parse(["run_step", *arguments(compiled(*TWO), given(output))]))
    assert str(ended.value).startswith(f"movierec: {ROOT}/1/model: the TFJob has succeeded, but")
    assert not output.exists()
