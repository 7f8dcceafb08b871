"""The step that has a TFJob train, with the real client against an API on loopback."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes import client
from kubernetes.config import kube_config

from kubeflow.training_job import cluster, manifest, pods, step
from kubeflow.training_job.cluster import Cluster
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config
from tests.kubeflow.kubernetes_api import Answer, Api, serve, status

NAMESPACE = "team"
ROOT = Path(__file__).parents[3]
TEMPLATE = manifest.template(
    load_config(overrides=["training.workers=2", f"kfp.namespace={NAMESPACE}"]),
    "registry.example/movierec:1.2",
    "movierec",
)
JOB = manifest.for_run(TEMPLATE, ["--for=a-run"])
NAME = JOB["metadata"]["name"]
JOBS = f"/apis/kubeflow.org/v1/namespaces/{NAMESPACE}/tfjobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    server = serve(made)
    yield made
    server.shutdown()
    server.server_close()


def pod(replica: str, **told: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{NAME}-{replica}",
            "uid": f"uid of {replica}",
            "labels": {"training.kubeflow.org/job-name": NAME},
        },
        "status": told,
    }


def running(replica: str) -> dict[str, Any]:
    return pod(replica, phase="Running", containerStatuses=[{"state": {"running": {}}}])


def failed(replica: str, **terminated: Any) -> dict[str, Any]:
    return pod(replica, phase="Failed", containerStatuses=[{"state": {"terminated": terminated}}])


def holds(kind: str, message: str = "") -> dict[str, Any]:
    # The operator keeps the conditions that held before.
    return {
        "conditions": [
            {"type": "Created", "status": "True"},
            {"type": "Running", "status": "False"},
            {"type": kind, "status": "True", "message": message},
        ]
    }


def run(api: Api, said: list[str] | None = None) -> list[str]:
    """What the step says; what it raises goes through."""
    said = [] if said is None else said
    settings = client.Configuration(host=api.url)
    settings.retries = False
    space = Cluster(client.ApiClient(settings), NAMESPACE, said.append, pause=lambda _: None)
    step.run(space, JOB, said.append, pause=lambda _: None)
    return said


def told(api: Api, statuses: list[Any]) -> None:
    """Each question about the job is answered with the next of the statuses, then the last."""
    left = iter(statuses)

    def change(job: dict[str, Any]) -> None:
        now = next(left, None)
        if callable(now):
            now = now()
        if now is not None:
            job["status"] = now

    api.changed = change


def test_success_with_the_log_of_the_chief_as_it_grows(api: Api) -> None:
    api.logs[f"{NAME}-worker-0"] = ["2026-01-01T00:00:01.000000000Z not this one"]

    def start() -> dict[str, Any]:
        api.pods = [running("worker-0"), running("chief-0")]
        api.logs[f"{NAME}-chief-0"] = [
            "2026-01-01T00:00:01.000000000Z epoch 1",
            '2026-01-01T00:00:02.000000000Z {"a": 1}',
        ]
        return holds("Running")

    def go_on() -> dict[str, Any]:
        # Kubernetes goes back by whole seconds: a part is sent twice.
        api.logs[f"{NAME}-chief-0"].append("2026-01-01T00:00:03.000000000Z epoch 2")
        return holds("Running")

    told(api, [None, start, go_on, holds("Succeeded")])
    assert run(api) == [
        f"TFJob team/{NAME}: created",
        f"TFJob team/{NAME}: no pods yet",
        f"TFJob team/{NAME}: chief-0 Running, worker-0 Running",
        "chief-0: epoch 1",
        'chief-0: {"a": 1}',
        "chief-0: epoch 2",
        f"TFJob team/{NAME}: succeeded",
    ]
    assert api.jobs[NAME]["spec"] == JOB["spec"], "it stays, to be looked at"
    queries = [query for _, path, query in api.asked if path == f"{PODS}/{NAME}-chief-0/log"]
    assert "sinceSeconds" not in queries[0]
    assert all(int(query["sinceSeconds"][0]) >= 5 for query in queries[1:])


def test_what_pods_wait_for_is_told(api: Api) -> None:
    pulling = {"reason": "ImagePullBackOff", "message": "Back-off pulling\nimage"}
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                   "message": "0/3 nodes have a GPU"}  # fmt: skip
    api.pods = [
        pod("chief-0", phase="Pending", containerStatuses=[{"state": {"waiting": pulling}}]),
        pod("worker-0", phase="Pending", conditions=[unscheduled]),
    ]
    told(api, [None, None, holds("Succeeded")])
    assert [line for line in run(api) if "Pending" in line] == [
        f"TFJob team/{NAME}: chief-0 Pending (ImagePullBackOff: Back-off pulling image), "
        "worker-0 Pending (Unschedulable: 0/3 nodes have a GPU)"
    ]


def test_the_first_pod_that_failed_is_told_with_its_last_lines(api: Api) -> None:
    api.pods = [
        failed("chief-0", exitCode=1, reason="Error", finishedAt="2026-01-01T00:01:09Z",
               message="movierec: another worker was lost\n"),
        failed("worker-0", exitCode=137, reason="OOMKilled", finishedAt="2026-01-01T00:01:00Z",
               message="epoch 3\nout of\n\n"),
    ]  # fmt: skip
    told(api, [holds("Failed", "TFJob has failed because 1 Worker replica(s) failed.")])
    said: list[str] = []
    with pytest.raises(UserError) as raised:
        run(api, said)
    assert str(raised.value) == (
        f"TFJob team/{NAME} failed: pod {NAME}-worker-0 failed (OOMKilled, exit code 137): out of"
    )
    assert said[-2:] == ["worker-0: epoch 3", "worker-0: out of"]
    assert NAME in api.jobs


def test_a_pod_that_its_node_put_out_is_told(api: Api) -> None:
    api.pods = [running("chief-0"), pod("worker-0", phase="Failed", reason="Evicted",
                                        message="The node was low on memory.")]  # fmt: skip
    told(api, [holds("Failed")])
    with pytest.raises(UserError, match=r"worker-0 failed \(Evicted: The node was low on memory"):
        run(api)


def test_what_the_operator_says_is_told_where_no_pod_failed(api: Api) -> None:
    told(api, [holds("Failed", "TFJob has failed because it was\nactive longer than allowed")])
    with pytest.raises(UserError, match=rf"^TFJob team/{NAME} failed: TFJob has failed because it "
                       "was active longer than allowed$"):  # fmt: skip
        run(api)


def test_a_job_that_somebody_deletes_is_a_failure(api: Api) -> None:
    told(api, [holds("Running"), api.jobs.clear])
    with pytest.raises(UserError, match=rf"TFJob team/{NAME} was deleted while it ran"):
        run(api)


def test_one_that_an_earlier_try_has_left_is_replaced(api: Api) -> None:
    api.jobs[NAME] = {"metadata": {"name": NAME}, "status": holds("Failed")}
    told(api, [holds("Running"), holds("Succeeded")])
    run(api)
    assert [m for m, path, _ in api.asked if path.startswith(JOBS)][:3] == [
        "POST", "DELETE", "POST",
    ]  # fmt: skip


def test_one_that_does_not_go_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "DELETION_SECONDS", 3)
    exists = status(409, "AlreadyExists", f'tfjobs.kubeflow.org "{NAME}" already exists')
    api.instead = lambda method, path: exists if method == "POST" else None
    with pytest.raises(UserError, match=rf"TFJob team/{NAME}: not created: .* already exists$"):
        run(api)


def refuse_jobs(answer: Answer) -> Any:
    return lambda method, path: answer if path.startswith(JOBS) else None


def test_missing_rights_are_named(api: Api) -> None:
    said = 'tfjobs.kubeflow.org is forbidden: User "a" cannot create resource "tfjobs"'
    api.instead = refuse_jobs(status(403, "Forbidden", said))
    with pytest.raises(UserError) as raised:
        run(api)
    assert str(raised.value) == (
        f"TFJob team/{NAME}: not created: {said}; expected the step's service account to be "
        f"allowed create, get and delete of tfjobs.kubeflow.org, list of pods and get of pods/log "
        f"in team"
    )
    assert api.requests("DELETE") == []


@pytest.mark.parametrize(
    "answer",
    [Answer(404, "404 page not found\n"), status(404, "NotFound", 'namespaces "team" not found')],
    ids=["operator", "namespace"],
)
def test_a_cluster_without_the_operator_or_the_namespace(api: Api, answer: Answer) -> None:
    api.instead = refuse_jobs(answer)
    with pytest.raises(UserError) as raised:
        run(api)
    assert re.fullmatch(
        rf"TFJob team/{NAME}: not created: .*not found; expected Kubeflow's training operator, "
        rf"with TFJob of kubeflow.org/v1, in the cluster, and kfp.namespace=team to exist",
        str(raised.value),
    )


def test_missing_rights_to_pods_end_the_job_too(api: Api) -> None:
    api.instead = lambda method, path: (
        status(403, "Forbidden", "pods is forbidden") if path == PODS else None
    )
    with pytest.raises(UserError, match=r"pods is forbidden; expected .* list of pods"):
        run(api)
    assert api.jobs == {}


def test_hiccups_of_the_api_are_sat_out(api: Api) -> None:
    hiccups = {
        ("POST", JOBS): [status(500, "InternalError", "etcd"), Answer(None)],
        ("GET", f"{JOBS}/{NAME}"): [status(429, "TooManyRequests", "slow down")] * 3,
        ("GET", PODS): [Answer(None), Answer(503, "no server"), Answer(None)],
    }

    def instead(method: str, path: str) -> Answer | None:
        left = hiccups.get((method, path))
        return left.pop(0) if left else None

    api.instead = instead
    told(api, [holds("Running"), holds("Succeeded")])
    said = run(api)
    assert said[-1] == f"TFJob team/{NAME}: succeeded"
    assert [line for line in said if line.startswith("the Kubernetes API")] == [
        "the Kubernetes API: 500 Internal Server Error; asking again in 1 s",
        "the Kubernetes API: ProtocolError; asking again in 2 s",
        "the Kubernetes API: 429 Too Many Requests; asking again in 1 s",
        "the Kubernetes API: 429 Too Many Requests; asking again in 2 s",
        "the Kubernetes API: 429 Too Many Requests; asking again in 4 s",
        "the Kubernetes API: ProtocolError; asking again in 1 s",
        "the Kubernetes API: 503 Service Unavailable; asking again in 2 s",
        "the Kubernetes API: ProtocolError; asking again in 4 s",
    ]
    assert len(api.requests("POST")) == 3


def test_an_api_that_stays_away_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=60.0)
    monkeypatch.setattr(cluster.time, "monotonic", lambda: next(clock))
    api.instead = lambda method, path: status(500, "InternalError", "etcd")
    said: list[str] = []
    with pytest.raises(UserError, match=r"API has not answered for 15 minutes: 500 Internal"):
        run(api, said)
    assert re.search(
        rf"TFJob team/{NAME} may still run: .*; `kubectl delete tfjob -n team {NAME}` ends it",
        said[-1],
    )


def test_neither_a_pod_nor_a_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"training\.workers: .* no pod and has no kubeconfig"):
        cluster.connect()


def test_the_pod_of_the_step_owns_a_job_beside_it(tmp_path: Path) -> None:
    own = tmp_path / "namespace"
    own.write_text("team\n")
    pod_of_the_step = {"KFP_POD_NAME": "movierec-abc-impl-1", "KFP_POD_UID": "1-2-3"}
    assert step.owners("team", pod_of_the_step, own) == [
        {"apiVersion": "v1", "kind": "Pod", "name": "movierec-abc-impl-1", "uid": "1-2-3"}
    ]
    # Kubernetes deletes at once what is owned by something of another namespace.
    assert step.owners("other", pod_of_the_step, own) == []
    assert step.owners("team", {}, own) == []
    assert step.owners("team", pod_of_the_step, tmp_path / "none") == []


def test_what_is_printed_at_one_moment_is_not_told_twice() -> None:
    class Space:
        def __init__(self) -> None:
            self.lines = ["1 a", "2 b"]

        def log(self, name: str, seconds: int | None) -> list[str]:
            return self.lines

    space = Space()
    log = pods.PodLog(space, "chief-0")  # type: ignore[arg-type]
    assert log.new_lines() == ["a", "b"]
    space.lines = ["2 b", "3 c d"]
    assert log.new_lines() == ["c d"]
    space.lines = []
    assert log.new_lines() == []


RIGHTS = ROOT / "docs" / "training-job-rights.yaml"


def test_the_documented_rights_are_those_that_are_used(api: Api) -> None:
    documents = list(yaml.safe_load_all(RIGHTS.read_text()))
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    (role,) = [document for document in documents if document["kind"] == "Role"]
    granted = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    api.pods = [running("chief-0")]
    told(api, [holds("Running"), api.jobs.clear])
    with pytest.raises(UserError):
        run(api)
    verbs = {"POST": "create", "GET": "get", "DELETE": "delete"}
    used = set()
    for method, path, _ in api.asked:
        if path.startswith(JOBS):
            used.add(("kubeflow.org", "tfjobs", verbs[method]))
        elif path == PODS:
            used.add(("", "pods", "list"))
        else:
            used.add(("", "pods/log", verbs[method]))
    assert used == granted


def test_sigterm_deletes_the_job(api: Api, tmp_path: Path) -> None:
    artifact = {"type": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}
    given = {
        "inputs": {"parameterValues": {}},
        "outputs": {
            "artifacts": {
                "model": {"artifacts": [{**artifact, "uri": "gs://bucket/run/model"}]},
            },
            "outputFile": str(tmp_path / "output.json"),
        },
    }
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "kubeflow.steps.run_step",
            "--executor_class_path=tfx.components.trainer.executor.GenericExecutor",
            f"--json_serialized_invocation_args={json.dumps(given)}",
        ],
        cwd=ROOT,
        env={
            **{k: v for k, v in os.environ.items() if k != "KUBERNETES_SERVICE_HOST"},
            "KUBECONFIG": str(api.kubeconfig(tmp_path)),
            manifest.VARIABLE: json.dumps(TEMPLATE),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        created = process.stdout.readline()
        ((name, job),) = api.jobs.items()
        assert created == f"TFJob team/{name}: created\n"
        (container,) = job["spec"]["tfReplicaSpecs"]["Chief"]["template"]["spec"]["containers"]
        handed = container["args"][1].partition("=")[2]
        assert json.loads(handed)["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"] == (
            "gs://bucket/run/model"
        )
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    finally:
        process.kill()
        process.wait()
    assert api.jobs == {}
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.splitlines()[-1] == (
        f"movierec: told to stop by SIGTERM: TFJob team/{name} is deleted; a new run goes on from "
        "the last state that its chief saved"
    )
    assert not (tmp_path / "output.json").exists()
