"""Training on GPUs, field by field as the platforms publish their schemas."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.aiplatform_v1.types import AcceleratorType, CustomJob, CustomJobSpec, JobState
from google.protobuf import json_format
from kfp import compiler as kfp_compiler
from kfp import components, dsl, kubernetes
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.extensions.google_cloud_ai_platform import training_clients
from tfx.scripts import run_executor
from tfx.types import artifact_utils

from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.compiling.compiler import CompiledPipeline
from kubeflow.local_execution import job_file
from kubeflow.machines import training_resources
from kubeflow.step_command import parse
from kubeflow.steps import run_step
from kubeflow.submission import vertex_request
from kubeflow.targets import Target
from pipeline import graph
from pipeline.config.cluster import Toleration
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config

IMAGE = "registry.example/movierec:1.2"
ROOT = "gs://bucket/root"
T4 = "training.accelerator=NVIDIA_TESLA_T4"
PLACE = ("vertex.project=movies-1234", "vertex.region=us-central1")


@cache
def compiled(target: Target, *overrides: str) -> CompiledPipeline:
    options = CompileOptions(target=target, image=IMAGE, pipeline_root=ROOT)
    return compiler.compile_pipeline(load_config(overrides=overrides), options)


def container(pipeline: CompiledPipeline, step: str) -> dict[str, Any]:
    found: dict[str, Any] = pipeline.spec["deploymentSpec"]["executors"][f"exec-{step}"]
    return found["container"]


def steps_with_resources(pipeline: CompiledPipeline) -> set[str]:
    executors = pipeline.spec["deploymentSpec"]["executors"]
    return {name for name, entry in executors.items() if "resources" in entry["container"]}


def documents(pipeline: CompiledPipeline) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(pipeline.text()))


# Vertex AI, one machine.


def test_vertex_finds_the_machine_by_what_the_step_asks_for() -> None:
    pipeline = compiled(Target.VERTEX, T4, "tuning.enabled=true")
    assert steps_with_resources(pipeline) == {"exec-trainer", "exec-tuner"}
    # PipelineContainerSpec.ResourceSpec: cores, gigabytes, and an int64 as JSON has it.
    assert container(pipeline, "trainer")["resources"] == {
        "cpuLimit": 8.0,
        "memoryLimit": 30.0,
        "accelerator": {"type": "NVIDIA_TESLA_T4", "count": "1"},
    }
    assert container(pipeline, "tuner")["resources"] == container(pipeline, "trainer")["resources"]
    job = json.loads(pipeline.text())
    json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
    deployment = job["pipelineSpec"]["deploymentSpec"]
    assert deployment == pipeline.spec["deploymentSpec"]


def test_vertex_takes_a_machine_without_gpus() -> None:
    pipeline = compiled(Target.VERTEX, "vertex.machine_type=e2-highmem-4")
    assert container(pipeline, "trainer")["resources"] == {"cpuLimit": 4.0, "memoryLimit": 32.0}


def test_vertex_limits_of_a_step_end_at_96_cores_and_624_gigabytes() -> None:
    config = load_config(
        overrides=[
            "training.accelerator=NVIDIA_H100_80GB",
            "training.accelerator_count=8",
            "vertex.machine_type=a3-highgpu-8g",
        ]
    )
    training_resources.check(config, Target.VERTEX)
    assert training_resources.resources(config, Target.VERTEX) == {
        "cpuLimit": 96.0,
        "memoryLimit": 624.0,
        "accelerator": {"type": "NVIDIA_H100_80GB", "count": "8"},
    }


# Vertex AI, a chief and workers.


@cache
def vertex_workers() -> CompiledPipeline:
    return compiled(Target.VERTEX, T4, *PLACE, "training.workers=2", "training.epochs=7")


def worker_pool(replicas: int) -> dict[str, Any]:
    return {
        "machine_spec": {
            "machine_type": "n1-standard-8",
            "accelerator_type": "NVIDIA_TESLA_T4",
            "accelerator_count": 1,
        },
        "replica_count": replicas,
        "container_spec": {
            "image_uri": IMAGE,
            "env": [{"name": "TF_USE_LEGACY_KERAS", "value": "1"}],
        },
    }


def trainer_config(pipeline: CompiledPipeline) -> dict[str, Any]:
    inputs = pipeline.spec["root"]["dag"]["tasks"]["trainer"]["inputs"]["parameters"]
    text = inputs["custom_config"]["runtimeValue"]["constantValue"]["stringValue"]
    found: dict[str, Any] = json.loads(
        text.replace("{{$.inputs.parameters['pipelinechannel--epochs']}}", "7")
    )
    return found


def test_a_chief_and_a_worker_of_vertex() -> None:
    pipeline = vertex_workers()
    told = trainer_config(pipeline)
    assert told["ai_platform_enable_vertex"] is True
    assert told["ai_platform_vertex_region"] == "us-central1"
    assert told["ai_platform_training_args"] == {
        "project": "movies-1234",
        "display_name": "movierec-trainer",
        "job_spec": {
            "worker_pool_specs": [worker_pool(1), worker_pool(1)],
            "scheduling": {"restart_job_on_worker_restart": True},
        },
    }
    # What is learnt does not depend on it.
    alone = trainer_config(compiled(Target.VERTEX, "training.epochs=7"))
    assert {k: v for k, v in told.items() if not k.startswith("ai_platform_")} == alone
    # The step itself only waits.
    assert "resources" not in container(pipeline, "trainer")
    assert container(pipeline, "trainer")["args"][:2] == [
        "--executor_class_path",
        "tfx.extensions.google_cloud_ai_platform.trainer.executor.GenericExecutor",
    ]
    assert container(pipeline, "trainer")["command"] == ["python", "-m", "kubeflow.steps.run_step"]


def test_more_workers_in_another_region_with_rights_of_their_own() -> None:
    pipeline = compiled(
        Target.VERTEX,
        PLACE[0],
        "training.workers=4",
        "training.accelerator=NVIDIA_L4",
        "training.accelerator_count=2",
        "vertex.machine_type=g2-standard-24",
        "vertex.region=europe-west4",
        "vertex.service_account=trainer@movies-1234.iam.gserviceaccount.com",
        "tuning.enabled=true",
    )
    told = trainer_config(pipeline)
    assert told["ai_platform_vertex_region"] == "europe-west4"
    spec = CustomJobSpec(told["ai_platform_training_args"]["job_spec"])
    assert [pool.replica_count for pool in spec.worker_pool_specs] == [1, 3]
    for pool in spec.worker_pool_specs:
        assert pool.machine_spec.machine_type == "g2-standard-24"
        assert pool.machine_spec.accelerator_type == AcceleratorType.NVIDIA_L4
        assert pool.machine_spec.accelerator_count == 2
        assert pool.container_spec.image_uri == IMAGE
    assert spec.service_account == "trainer@movies-1234.iam.gserviceaccount.com"
    # The Tuner's trials are trained on its own machine.
    assert steps_with_resources(pipeline) == {"exec-tuner"}
    assert container(pipeline, "tuner")["resources"] == {
        "cpuLimit": 24.0,
        "memoryLimit": 96.0,
        "accelerator": {"type": "NVIDIA_L4", "count": "2"},
    }


def test_workers_without_gpus() -> None:
    pipeline = compiled(Target.VERTEX, *PLACE, "training.workers=2")
    job = trainer_config(pipeline)["ai_platform_training_args"]["job_spec"]
    for pool in job["worker_pool_specs"]:
        assert pool["machine_spec"] == {"machine_type": "n1-standard-8"}


class Recorder:
    """Stands for Vertex AI's JobServiceClient: each job succeeds at once."""

    def __init__(self) -> None:
        self.endpoints: list[str] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, client_options: dict[str, str]) -> "Recorder":
        self.endpoints.append(client_options["api_endpoint"])
        return self

    def create_custom_job(self, parent: str, custom_job: dict[str, Any]) -> CustomJob:
        self.sent.append((parent, custom_job))
        return CustomJob(name=f"{parent}/customJobs/1")

    def get_custom_job(self, name: str, retry: Any) -> CustomJob:
        ((parent, _),) = self.sent
        assert name == f"{parent}/customJobs/1"
        assert retry is not None
        return CustomJob(name=name, state=JobState.JOB_STATE_SUCCEEDED)


def artifact(kind: str, uri: str, **properties: Any) -> dict[str, Any]:
    entry = {
        "name": uri,
        "uri": uri,
        "type": {"instanceSchema": f"title: tfx.{kind}\ntype: object\n"},
        "metadata": properties,
    }
    return {"artifacts": [entry]}


def executor_input(folder: Path) -> dict[str, Any]:
    """What Vertex AI gives the Trainer's step."""
    inputs = vertex_workers().spec["root"]["dag"]["tasks"]["trainer"]["inputs"]["parameters"]
    values = {
        "pipelinechannel--epochs": {"intValue": "5"},
        "pipelinechannel--pipeline_root": {"stringValue": ROOT},
    }
    for name, source in inputs.items():
        if "runtimeValue" in source:
            values[name] = source["runtimeValue"]["constantValue"]
    return {
        "inputs": {
            "parameters": values,
            "artifacts": {
                "examples": artifact("Examples", f"{folder}/x", split_names='["train", "eval"]'),
                "transform_graph": artifact("TransformGraph", f"{folder}/graph"),
            },
        },
        "outputs": {
            "artifacts": {
                "model": artifact("Model", f"{folder}/model"),
                "model_run": artifact("ModelRun", f"{folder}/model_run"),
            },
            "outputFile": f"{folder}/out.json",
        },
    }


def test_the_step_sends_vertex_a_job_that_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vertex = Recorder()
    monkeypatch.setattr(training_clients.gapic, "JobServiceClient", vertex)
    given = json.dumps(executor_input(tmp_path))
    written = [w.replace("{{$}}", given) for w in container(vertex_workers(), "trainer")["args"]]
    run_step.run(parse(["run_step", *written]))
    assert set(vertex.endpoints) == {"us-central1-aiplatform.googleapis.com"}
    ((parent, job),) = vertex.sent
    assert parent == "projects/movies-1234/locations/us-central1"
    message = CustomJob(job)
    assert message.display_name == "movierec-trainer"
    assert message.job_spec.scheduling.restart_job_on_worker_restart
    chief, worker = message.job_spec.worker_pool_specs
    for pool in (chief, worker):
        assert pool.replica_count == 1
        assert pool.machine_spec.machine_type == "n1-standard-8"
        assert pool.machine_spec.accelerator_type == AcceleratorType.NVIDIA_TESLA_T4
        assert pool.machine_spec.accelerator_count == 1
        assert pool.container_spec.image_uri == IMAGE
        (variable,) = pool.container_spec.env
        assert (variable.name, variable.value) == ("TF_USE_LEGACY_KERAS", "1")
        command = list(pool.container_spec.command)
        assert command[:3] == ["python", "-m", "tfx.scripts.run_executor"]
        assert not pool.container_spec.args
    # What each of them then reads.
    arguments, others = run_executor.parse_flags(["run_executor", *command[3:]])
    assert others == ["run_executor"]
    assert arguments.executor_class_path == "tfx.components.trainer.executor.GenericExecutor"
    properties = json.loads(arguments.exec_properties)
    assert properties["run_fn"] == "models.training.trainer.run_fn"
    told = json.loads(properties["custom_config"])
    assert told["training"]["epochs"] == 5
    assert told["checkpoints"] == f"{ROOT}/checkpoints"
    assert not [name for name in properties if name.startswith("pipelinechannel--")]
    inputs = artifact_utils.parse_artifact_dict(arguments.inputs)
    outputs = artifact_utils.parse_artifact_dict(arguments.outputs)
    assert inputs["examples"][0].uri == f"{tmp_path}/x"
    assert artifact_utils.decode_split_names(inputs["examples"][0].split_names) == ["train", "eval"]
    assert inputs["transform_graph"][0].uri == f"{tmp_path}/graph"
    assert outputs["model"][0].uri == f"{tmp_path}/model"
    assert outputs["model_run"][0].uri == f"{tmp_path}/model_run"
    # And what the platform is told of the step.
    output = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert output["artifacts"]["model"]["artifacts"][0]["uri"] == f"{tmp_path}/model"


def test_a_request_knows_where_they_train(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(vertex_workers().text(), encoding="utf-8")
    places = {
        name: vertex_request.workers_place(task) for name, task in job_file.read(path).tasks.items()
    }
    assert places.pop("trainer") == ("movies-1234", "us-central1")
    assert set(places.values()) == {None}


def test_a_dry_run_starts_no_paid_job(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(vertex_workers().text(), encoding="utf-8")
    with pytest.raises(UserError, match=r"task trainer: it starts a job on Vertex AI; compile"):
        job_file.read_to_run_here(path)
    # To submit it is another matter.
    assert "trainer" in job_file.read(path).tasks


# Kubeflow Pipelines, one pod.

KFP_OVERRIDES = ("kfp.cpu_limit=4", "kfp.memory_limit=16Gi", "tuning.enabled=true")


def test_a_pod_of_kubeflow_asks_for_gpus_in_the_fields_that_every_version_reads() -> None:
    pipeline = compiled(Target.KFP, T4, *KFP_OVERRIDES)
    assert steps_with_resources(pipeline) == {"exec-trainer", "exec-tuner"}
    for step in ("trainer", "tuner"):
        assert container(pipeline, step)["resources"] == {
            "cpuLimit": 4.0,
            # 16 · 2³⁰ bytes, in gigabytes.
            "memoryLimit": 17.179869184,
            "accelerator": {"type": "nvidia.com/gpu", "count": "1"},
        }


def test_a_pod_of_kubeflow_goes_to_the_nodes_with_gpus() -> None:
    specification, platforms = documents(compiled(Target.KFP, T4, *KFP_OVERRIDES))
    assert specification == compiled(Target.KFP, T4, *KFP_OVERRIDES).spec
    pod = {
        "nodeSelector": {"labels": {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    }
    assert platforms == {
        "platforms": {
            "kubernetes": {
                "deploymentSpec": {"executors": {"exec-trainer": pod, "exec-tuner": pod}}
            }
        }
    }
    message = kubernetes_executor_config_pb2.KubernetesExecutorConfig()
    json_format.ParseDict(pod, message)
    assert dict(message.node_selector.labels) == pod["nodeSelector"]["labels"]
    assert [t.key for t in message.tolerations] == ["nvidia.com/gpu"]


def test_it_is_what_kubeflow_compiles_itself_less_what_only_newer_versions_read(
    tmp_path: Path,
) -> None:
    @dsl.container_component
    def trainer() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image=IMAGE)

    @dsl.pipeline(name="own")
    def own() -> None:
        task = trainer()
        task.set_cpu_limit("4").set_memory_limit("16Gi")
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit("1")
        kubernetes.add_node_selector(task, "cloud.google.com/gke-accelerator", "nvidia-tesla-t4")
        kubernetes.add_toleration(
            task, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"
        )

    path = tmp_path / "own.yaml"
    kfp_compiler.Compiler().compile(own, str(path))
    theirs, their_platforms = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ours, our_platforms = documents(compiled(Target.KFP, T4, *KFP_OVERRIDES[:2]))
    resources = theirs["deploymentSpec"]["executors"]["exec-trainer"]["container"]["resources"]
    for fields in (resources, resources["accelerator"]):
        for name in [name for name in fields if name.startswith("resource")]:
            del fields[name]
    assert (
        ours["deploymentSpec"]["executors"]["exec-trainer"]["container"]["resources"] == resources
    )
    assert our_platforms == their_platforms


def test_kubeflow_loads_both_documents(tmp_path: Path) -> None:
    pipeline = compiled(Target.KFP, T4, *KFP_OVERRIDES)
    loaded = components.load_component_from_text(pipeline.text())
    kubernetes_spec = loaded.platform_spec.platforms["kubernetes"]
    assert set(kubernetes_spec.deployment_spec.executors) == {"exec-trainer", "exec-tuner"}
    path = tmp_path / "job.yaml"
    path.write_text(pipeline.text(), encoding="utf-8")
    assert "trainer" in job_file.read(path).tasks


def test_nodes_of_another_cluster() -> None:
    pipeline = compiled(
        Target.KFP,
        "training.accelerator=MI300X",
        "training.accelerator_count=4",
        "kfp.accelerator_resource=amd.com/gpu",
        'kfp.node_selector={"gpu.example/kind" = "mi300x", zone = "b"}',
        'kfp.tolerations=[{key = "gpu", operator = "Equal", value = "yes"}]',
    )
    assert container(pipeline, "trainer")["resources"] == {
        "accelerator": {"type": "amd.com/gpu", "count": "4"}
    }
    executors = pipeline.platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors == {
        "exec-trainer": {
            "nodeSelector": {"labels": {"gpu.example/kind": "mi300x", "zone": "b"}},
            "tolerations": [{"key": "gpu", "operator": "Equal", "value": "yes"}],
        }
    }


def test_neither_labels_nor_taints_if_none_are_wanted() -> None:
    config = load_config(overrides=[T4, "kfp.node_selector={}", "kfp.tolerations=[]"])
    assert training_resources.node_selector(config) == {}
    assert training_resources.tolerations(config) == ()
    assert training_resources.tolerations(load_config()) == ()
    derived = training_resources.tolerations(load_config(overrides=[T4]))
    assert derived == (Toleration(key="nvidia.com/gpu", effect="NoSchedule"),)


# Both.


def test_a_pipeline_that_asks_for_nothing_has_one_document() -> None:
    pipeline = compiled(Target.KFP)
    assert steps_with_resources(pipeline) == set()
    assert documents(pipeline) == [pipeline.spec]


@pytest.mark.parametrize(
    ("target", "overrides", "message"),
    [
        (Target.VERTEX, ["training.workers=2"], r"vertex\.project: not given; training\.workers=2"),
        (
            Target.VERTEX,
            ["training.workers=2", PLACE[0]],
            r"vertex\.region: not given; training\.workers=2 needs",
        ),
        (Target.VERTEX, ["training.accelerator=GPU"], r"accelerator=GPU: "),
        (Target.KFP, ["training.accelerator=GPU"], r"accelerator=GPU: "),
        (Target.KFP, ["training.accelerator_count=2"], r"accelerator_count=2: "),
        (Target.KFP, ["training.distribution=parameter_server"], r"no parameter servers"),
    ],
)
def test_what_a_platform_cannot_do_is_refused(
    target: Target, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        training_resources.check(load_config(overrides=overrides), target)


def test_the_graph_of_this_machine_is_the_same_whatever_a_cluster_gives() -> None:
    locations = graph.Locations(data="/d", artifacts="/a", checkpoints="/c", serving="/s")
    asked = load_config(overrides=[T4, *PLACE, "training.workers=2"])
    trainers = [
        next(c for c in graph.create_pipeline(config, locations).components if c.id == "Trainer")
        for config in (load_config(), asked)
    ]
    assert trainers[0].exec_properties == trainers[1].exec_properties
    assert type(trainers[1]) is graph.Trainer
