"""What is rendered for Kubernetes, as a real API server takes it, and the calls of a TFJob."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeflow.manifests import render
from kubeflow.training_job import manifest, step
from kubeflow.training_job.cluster import Cluster
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config
from tests.engines import kubernetes_server
from tests.engines.kubernetes_server import ApiServer
from tests.serving.asking import wait_until

REASON = kubernetes_server.missing()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]

ROOT = Path(__file__).parents[2]
RIGHTS = ROOT / "docs" / "training-job-rights.yaml"
STEPS_NAMESPACE = "kubeflow"
STEPS_ACCOUNT = f"system:serviceaccount:{STEPS_NAMESPACE}:pipeline-runner"
NAMESPACE = "recommendations"
DRY_RUN = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
LOCATIONS = ["pvc://claim/a/movierec", "gs://bucket/a/movierec", "s3://bucket/a/movierec"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with kubernetes_server.serve(tmp_path_factory.mktemp("kubernetes")) as started:
        for name in (NAMESPACE, STEPS_NAMESPACE):
            started.done("create", "namespace", name)
        started.done(
            "label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted"
        )
        yield started


def require_definition(server: ApiServer, name: str) -> None:
    """Gives the server a custom resource, of a file in the folder KUBERNETES_CRDS."""
    folder = os.environ.get("KUBERNETES_CRDS")
    file = None if folder is None else Path(folder) / f"{name}.yaml"
    if file is None or not file.is_file():
        pytest.skip(f"{name}.yaml is not in KUBERNETES_CRDS, which is {folder or 'not set'}")
    server.done("apply", "--server-side", "-f", str(file))
    group, _, plural = name.rpartition("_")
    # It is known a while later.
    wait_until(lambda: not server.kubectl("get", f"{plural}.{group}").returncode)


def can(server: ApiServer, verb: str, resource: str, namespace: str) -> bool:
    """Whether the account of the steps may do it."""
    name, _, part = resource.partition("/")
    asked = server.kubectl(
        *("auth", "can-i", verb, name, "-n", namespace, f"--as={STEPS_ACCOUNT}"),
        *([f"--subresource={part}"] if part else []),
    )
    return asked.stdout.strip() == "yes"


@pytest.fixture
def tfjobs(server: ApiServer) -> ApiServer:
    """A server that knows TFJobs, and gives the account of the steps its rights."""
    require_definition(server, "kubeflow.org_tfjobs")
    server.done("apply", "-n", STEPS_NAMESPACE, "-f", str(RIGHTS))
    wait_until(lambda: can(server, "create", "tfjobs.kubeflow.org", STEPS_NAMESPACE))
    return server


def rendered(kind: str, location: str) -> str:
    overrides = {"kind": kind, "model_location": location, "namespace": NAMESPACE}
    return render.render(
        load_config(None, [f"kubernetes.{key}={value}" for key, value in overrides.items()])
    )


def dry_run(server: ApiServer, objects: str) -> list[str]:
    """The lines that tell of what the server has taken, every field of which it must know."""
    return server.done(*DRY_RUN, stdin=objects).splitlines()


@pytest.mark.parametrize("location", LOCATIONS[:2])
def test_a_deployment_is_taken(server: ApiServer, location: str) -> None:
    text = rendered("deployment", location)
    assert len(dry_run(server, text)) == len(list(yaml.safe_load_all(text)))
    (deployment,) = [one for one in yaml.safe_load_all(text) if one["kind"] == "Deployment"]
    template = deployment["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", "namespace": NAMESPACE, **template["metadata"]},
        "spec": template["spec"],
    }
    # Only pods are refused in a restricted namespace.
    assert dry_run(server, yaml.safe_dump(pod))
    del pod["spec"]["securityContext"]
    for container in pod["spec"]["containers"]:
        del container["securityContext"]
    refused = server.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))
    assert 'violates PodSecurity "restricted' in refused.stderr


@pytest.mark.parametrize("location", LOCATIONS)
def test_an_inference_service_is_taken(server: ApiServer, location: str) -> None:
    require_definition(server, "serving.kserve.io_inferenceservices")
    text = rendered("kserve", location)
    assert len(dry_run(server, text)) == len(list(yaml.safe_load_all(text)))
    broken = text.replace("predictor:", "forecaster:")
    assert broken != text
    assert "forecaster" in server.kubectl(*DRY_RUN, stdin=broken).stderr


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "allowed"),
    [
        ("create", "tfjobs.kubeflow.org", STEPS_NAMESPACE, True),
        ("get", "tfjobs.kubeflow.org", STEPS_NAMESPACE, True),
        ("delete", "tfjobs.kubeflow.org", STEPS_NAMESPACE, True),
        ("list", "pods", STEPS_NAMESPACE, True),
        ("get", "pods/log", STEPS_NAMESPACE, True),
        ("list", "tfjobs.kubeflow.org", STEPS_NAMESPACE, False),
        ("delete", "pods", STEPS_NAMESPACE, False),
        ("get", "secrets", STEPS_NAMESPACE, False),
        ("create", "tfjobs.kubeflow.org", NAMESPACE, False),
    ],
)
def test_the_rights_are_those_that_the_step_needs(
    tfjobs: ApiServer, verb: str, resource: str, namespace: str, allowed: bool
) -> None:
    assert can(tfjobs, verb, resource, namespace) == allowed


def job() -> manifest.Manifest:
    config = load_config(overrides=["training.workers=2", f"kfp.namespace={STEPS_NAMESPACE}"])
    template = manifest.template(config, "registry.example/movierec:1.2", "movierec")
    return manifest.for_run(template, ["--for=a-run"])


@pytest.mark.parametrize("kind", ["Succeeded", "Failed"])
def test_a_step_follows_its_job_to_the_end(tfjobs: ApiServer, kind: str) -> None:
    """With the rights of the docs alone; the test says in the operator's place how it ends."""
    made = job()
    name = made["metadata"]["name"]
    said: list[str] = []

    def end(_: float) -> None:
        status = {"conditions": [{"type": kind, "status": "True", "message": "of a test"}]}
        tfjobs.done(
            *("patch", "tfjob", name, "-n", STEPS_NAMESPACE, "--subresource=status"),
            *("--type=merge", "-p", json.dumps({"status": status})),
        )

    cluster = Cluster(tfjobs.client(STEPS_ACCOUNT), STEPS_NAMESPACE, said.append)
    if kind == "Succeeded":
        step.run(cluster, made, said.append, end)
        assert said[-1].endswith("succeeded")
    else:
        with pytest.raises(UserError, match="of a test"):
            step.run(cluster, made, said.append, end)
    kept: dict[str, Any] = yaml.safe_load(
        tfjobs.done("get", "tfjob", name, "-n", STEPS_NAMESPACE, "-o", "yaml")
    )
    assert kept["spec"]["tfReplicaSpecs"].keys() == made["spec"]["tfReplicaSpecs"].keys()


def test_a_step_that_is_told_to_stop_deletes_its_job(tfjobs: ApiServer) -> None:
    made = job()
    cluster = Cluster(tfjobs.client(STEPS_ACCOUNT), STEPS_NAMESPACE, lambda _: None)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step.run(cluster, made, lambda _: None, interrupt)
    left = tfjobs.kubectl("get", "tfjob", made["metadata"]["name"], "-n", STEPS_NAMESPACE)
    assert "NotFound" in left.stderr


def test_an_account_without_rights_reads_which_it_lacks(tfjobs: ApiServer) -> None:
    cluster = Cluster(
        tfjobs.client("system:serviceaccount:kubeflow:nobody"), STEPS_NAMESPACE, lambda _: None
    )
    with pytest.raises(UserError, match="expected the step's service account to be allowed create"):
        step.run(cluster, job(), lambda _: None)
