"""The TFJob in which several machines train one model. Nothing heavy is imported here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kubeflow.machines import training_resources
from kubeflow.targets import Target
from pipeline.config.errors import UserError
from pipeline.config.tree import PipelineConfig

Manifest = dict[str, Any]

GROUP: Final = "kubeflow.org"
VERSION: Final = "v1"
PLURAL: Final = "tfjobs"

# Where the step finds the job that it is to make. Kubeflow Pipelines takes a step's command and
# arguments into its cache key, but not its environment: on how many machines a model is trained
# does not change what comes out.
VARIABLE: Final = "MOVIEREC_TRAINING_JOB"

COMMAND: Final = ("python", "-m", "kubeflow.training_job.replica")

# The operator knows the container that gets TF_CONFIG by this name.
_CONTAINER: Final = "tensorflow"

# The operator's pods and services are called by the job, the kind and the number of the replica,
# as `-worker-63`, in 63 characters.
_LONGEST_NAME: Final = 53
_DIGEST_DIGITS: Final = 10

# A finished job can be looked at for so long.
_KEPT_SECONDS: Final = 24 * 60 * 60
_USER: Final = 1000

_READABLE: Final = "gs://"


def template(config: PipelineConfig, image: str, pipeline_name: str) -> Manifest:
    """All of the job that is known before a run.

    Args:
        config: Configuration of the pipeline.
        image: Image of the replicas.
        pipeline_name: Name of the pipeline, from which names of jobs are made.
    """
    # A letter comes first in the name of a Service, but not in that of every pipeline.
    prefix = f"trainer-{pipeline_name}"[: _LONGEST_NAME - _DIGEST_DIGITS - 1].rstrip("-")
    labels = {
        "app.kubernetes.io/name": "movierec",
        "app.kubernetes.io/component": "trainer",
        "app.kubernetes.io/managed-by": "movierec",
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TFJob",
        "metadata": {
            "generateName": f"{prefix}-",
            "namespace": config.kfp.namespace,
            "labels": labels,
        },
        "spec": {
            "runPolicy": {
                # What has ended stays, so that one can see why.
                "cleanPodPolicy": "Running",
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": _KEPT_SECONDS,
            },
            "tfReplicaSpecs": {
                "Chief": _replicas(config, image, labels, 1),
                "Worker": _replicas(config, image, labels, config.training.workers - 1),
            },
        },
    }


def for_run(job: Manifest, arguments: Sequence[str]) -> Manifest:
    """Returns the job of one run.

    Args:
        job: the template.
        arguments: Arguments of every replica. The name of the job follows from them, so that the
            same step, tried again, makes no second job.
    """
    made: Manifest = json.loads(json.dumps(job))
    digest = hashlib.sha256("\0".join(arguments).encode()).hexdigest()[:_DIGEST_DIGITS]
    made["metadata"]["name"] = made["metadata"].pop("generateName") + digest
    for replicas in made["spec"]["tfReplicaSpecs"].values():
        (container,) = replicas["template"]["spec"]["containers"]
        # Kubernetes would replace $(NAME); it makes one $ of two.
        container["args"] = [argument.replace("$", "$$") for argument in arguments]
    return made


def is_wanted(config: PipelineConfig, target: Target) -> bool:
    """Returns whether the Trainer has such a job made."""
    return target is Target.KFP and config.training.workers > 1


def check_root(option: str, root: str, config: PipelineConfig, target: Target) -> None:
    """Checks that several machines can read and write there without a launcher.

    A folder of this machine is for a dry run, which trains here.

    Raises:
        UserError: they cannot.
    """
    if is_wanted(config, target) and not root.startswith("/"):
        check_shared(option, root)


def trains(executor_input: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Returns whether a step has such a job train.

    In a dry run it has not: there the artifacts are on this machine, which trains.

    Args:
        executor_input: ExecutorInput of the step as JSON, with the addresses of the platform.
        environment: Environment variables of the step.

    Raises:
        UserError: the workers could not read the artifacts.
    """
    if VARIABLE not in environment:
        return False
    (model,) = executor_input["outputs"]["artifacts"]["model"]["artifacts"]
    if str(model["uri"]).startswith("/"):
        return False
    check_shared("pipeline root", str(model["uri"]))
    return True


def check_shared(option: str, uri: str) -> None:
    """Checks that several machines can read and write there, each by itself.

    Raises:
        UserError: they cannot.
    """
    if not uri.startswith(_READABLE):
        raise UserError(
            f"{option} {uri}: TensorFlow does not read it, as each of several workers must; "
            f"expected {_READABLE}BUCKET/PATH, or training.workers=1"
        )


def namespace(environment: Mapping[str, str]) -> str | None:
    """Returns where a step with this environment has such a job train; None if it trains itself."""
    if VARIABLE not in environment:
        return None
    return str(json.loads(environment[VARIABLE])["metadata"]["namespace"])


def _replicas(config: PipelineConfig, image: str, labels: dict[str, str], count: int) -> Manifest:
    return {
        "replicas": count,
        # A process that starts again alone does not find its way back to the others, who end
        # without it. A new run goes on from the last state that the chief saved.
        "restartPolicy": "Never",
        "template": {
            "metadata": {
                "labels": labels,
                # A proxy beside it would cut the replicas off from each other, and never end.
                "annotations": {"sidecar.istio.io/inject": "false"},
            },
            "spec": _pod(config, image),
        },
    }


def _pod(config: PipelineConfig, image: str) -> Manifest:
    tolerations = [
        taint.model_dump(exclude_defaults=True) | {"operator": taint.operator}
        for taint in training_resources.tolerations(config)
    ]
    chosen = {
        "serviceAccountName": config.kfp.service_account,
        "nodeSelector": training_resources.node_selector(config),
        "tolerations": tolerations,
    }
    return {
        **{key: value for key, value in chosen.items() if value},
        # The replicas ask nothing of Kubernetes.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(config, image)],
    }


def _container(config: PipelineConfig, image: str) -> Manifest:
    limits = _limits(config)
    return {
        "name": _CONTAINER,
        "image": image,
        "command": list(COMMAND),
        "env": [
            # TensorFlow reads it before anything of this project is imported.
            {"name": "TF_USE_LEGACY_KERAS", "value": "1"},
            # The image need not know the user, who has no home without that.
            {"name": "HOME", "value": "/tmp"},
        ],
        **({"resources": {"limits": limits}} if limits else {}),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        # The last it printed stays with the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _limits(config: PipelineConfig) -> dict[str, str]:
    """Amounts at most; as much is asked for."""
    limits = {
        "cpu": config.kfp.cpu_limit,
        "memory": config.kfp.memory_limit,
        config.kfp.accelerator_resource: str(config.training.accelerator_count)
        if config.training.accelerator
        else None,
    }
    return {resource: amount for resource, amount in limits.items() if amount is not None}
