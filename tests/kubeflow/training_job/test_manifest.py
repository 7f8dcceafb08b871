"""The TFJob, held against what the training operator documents of it."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.targets import Target
from kubeflow.training_job import manifest
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config

IMAGE = "registry.example/movierec:1.2"
TWO = ("training.workers=2", "training.accelerator=NVIDIA_TESLA_T4")
ARGUMENTS = ("--executor_class_path=a.B", '--json_serialized_invocation_args={"a": "$(HOME) $"}')

# Of TFJob in kubeflow.org/v1, the fields that matter here.
_REPLICAS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "replicas": {"type": "integer", "minimum": 1},
        "restartPolicy": {"enum": ["Always", "OnFailure", "Never", "ExitCode"]},
        "template": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"metadata": {"type": "object"}, "spec": {"type": "object"}},
        },
    },
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "kubeflow.org/v1"},
        "kind": {"const": "TFJob"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["tfReplicaSpecs"],
            "properties": {
                "enableDynamicWorker": {"type": "boolean"},
                "successPolicy": {"enum": ["", "AllWorkers"]},
                "runPolicy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "activeDeadlineSeconds": {"type": "integer", "minimum": 1},
                        "backoffLimit": {"type": "integer", "minimum": 0},
                        "cleanPodPolicy": {"enum": ["All", "Running", "None"]},
                        "schedulingPolicy": {"type": "object"},
                        "suspend": {"type": "boolean"},
                        "ttlSecondsAfterFinished": {"type": "integer", "minimum": 0},
                    },
                },
                "tfReplicaSpecs": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": dict.fromkeys(
                        ("Chief", "Evaluator", "Master", "PS", "Worker"), _REPLICAS
                    ),
                },
            },
        },
    },
}


def job(*overrides: str, name: str = "movierec") -> dict[str, Any]:
    made = manifest.template(load_config(overrides=overrides), IMAGE, name)
    return manifest.for_run(made, ARGUMENTS)


def pods(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [r["template"]["spec"] for r in made["spec"]["tfReplicaSpecs"].values()]


LABELS = {
    "app.kubernetes.io/name": "movierec",
    "app.kubernetes.io/component": "trainer",
    "app.kubernetes.io/managed-by": "movierec",
}


def replica_of_one_gpu() -> dict[str, Any]:
    return {
        "replicas": 1,
        "restartPolicy": "Never",
        "template": {
            "metadata": {
                "labels": LABELS,
                "annotations": {"sidecar.istio.io/inject": "false"},
            },
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 1000,
                    "runAsGroup": 1000,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"},
                "tolerations": [
                    {
                        "key": "nvidia.com/gpu",
                        "operator": "Exists",
                        "effect": "NoSchedule",
                    }
                ],
                "containers": [
                    {
                        # The operator sets TF_CONFIG for the container of this name.
                        "name": "tensorflow",
                        "image": IMAGE,
                        "command": ["python", "-m", "kubeflow.training_job.replica"],
                        "args": [
                            "--executor_class_path=a.B",
                            # Kubernetes makes one $ of two, and a variable's value of $(HOME).
                            '--json_serialized_invocation_args={"a": "$$(HOME) $$"}',
                        ],
                        "env": [
                            {"name": "TF_USE_LEGACY_KERAS", "value": "1"},
                            {"name": "HOME", "value": "/tmp"},
                        ],
                        "resources": {"limits": {"nvidia.com/gpu": "1"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "terminationMessagePolicy": "FallbackToLogsOnError",
                    }
                ],
            },
        },
    }


def test_two_workers_with_a_gpu_each_field_by_field() -> None:
    made = job(*TWO)
    name = made["metadata"].pop("name")
    assert re.fullmatch(r"trainer-movierec-[0-9a-f]{10}", name)
    assert made == {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"namespace": "kubeflow", "labels": LABELS},
        "spec": {
            "runPolicy": {
                "cleanPodPolicy": "Running",
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": 86400,
            },
            "tfReplicaSpecs": {"Chief": replica_of_one_gpu(), "Worker": replica_of_one_gpu()},
        },
    }


@pytest.mark.parametrize(
    "overrides",
    [TWO, ("training.workers=2",), ("training.workers=64", "kfp.cpu_limit=500m")],
    ids=["gpus", "cpus", "many"],
)
def test_it_is_of_the_published_schemas(overrides: tuple[str, ...]) -> None:
    made = job(*overrides)
    jsonschema.validate(made, SCHEMA)
    for spec in pods(made):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)


def test_the_chief_is_one_of_the_workers() -> None:
    replicas = job("training.workers=5")["spec"]["tfReplicaSpecs"]
    assert {kind: entry["replicas"] for kind, entry in replicas.items()} == {
        "Chief": 1,
        "Worker": 4,
    }


def test_machines_are_those_of_the_configuration() -> None:
    made = job(
        *TWO,
        "training.accelerator_count=4",
        "kfp.namespace=team",
        "kfp.accelerator_resource=amd.com/gpu",
        'kfp.node_selector={pool="gpus"}',
        'kfp.tolerations=[{key="pool", operator="Equal", value="gpus"}]',
        "kfp.cpu_limit=7",
        "kfp.memory_limit=28Gi",
        "kfp.service_account=trainer",
    )
    assert made["metadata"]["namespace"] == "team"
    for spec in pods(made):
        assert spec["serviceAccountName"] == "trainer"
        assert spec["nodeSelector"] == {"pool": "gpus"}
        assert spec["tolerations"] == [{"key": "pool", "operator": "Equal", "value": "gpus"}]
        (container,) = spec["containers"]
        assert container["resources"] == {
            "limits": {"cpu": "7", "memory": "28Gi", "amd.com/gpu": "4"}
        }


def test_without_gpus_and_limits_nothing_is_asked_of_nodes() -> None:
    for spec in pods(job("training.workers=2")):
        assert not {"nodeSelector", "tolerations", "serviceAccountName"} & spec.keys()
        assert "resources" not in spec["containers"][0]


@pytest.mark.parametrize("pipeline", ["movierec", "7-days", "a" * 63, "a" * 33 + "-" + "b" * 29])
def test_names_fit_the_pods_and_services_that_are_called_by_them(pipeline: str) -> None:
    name = job(*TWO, name=pipeline)["metadata"]["name"]
    # A Service's: RFC 1035.
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", f"{name}-worker-63")
    assert "--" not in name


def test_each_run_has_a_name_of_its_own_and_a_second_try_the_same() -> None:
    made = manifest.template(load_config(overrides=TWO), IMAGE, "movierec")
    names = [
        manifest.for_run(made, [folder])["metadata"]["name"]
        for folder in ("run-1", "run-2", "run-1")
    ]
    assert names[0] == names[2] != names[1]
    assert "name" not in made["metadata"]


@pytest.mark.parametrize("root", ["s3://bucket/root", "minio://bucket/root"])
def test_a_root_that_tensorflow_does_not_read_is_refused(root: str) -> None:
    options = CompileOptions(target=Target.KFP, image=IMAGE, pipeline_root=root)
    options.parameters(load_config())
    with pytest.raises(
        UserError, match=rf"--pipeline-root {root}: TensorFlow .*gs://BUCKET/PATH, or training\.wo"
    ):
        options.parameters(load_config(overrides=TWO))


def executor_input(uri: str) -> dict[str, Any]:
    return {"outputs": {"artifacts": {"model": {"artifacts": [{"uri": uri}]}}}}


def test_a_step_has_a_job_train_where_it_was_compiled_to_and_not_in_a_dry_run() -> None:
    environment = {manifest.VARIABLE: json.dumps({})}
    assert manifest.trains(executor_input("gs://bucket/model"), environment)
    assert not manifest.trains(executor_input("gs://bucket/model"), {})
    assert not manifest.trains(executor_input("/folder/model"), environment)
    assert not manifest.trains({"outputs": {}}, {})
    # A run may be given another root than the one that it was compiled with.
    with pytest.raises(UserError, match=r"s3://bucket/model: TensorFlow does not read it"):
        manifest.trains(executor_input("s3://bucket/model"), environment)
