"""The TFJob of a compiled pipeline, its replicas run as the training operator would start them."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from kubernetes import client

from kubeflow import compiled_summary, step_command
from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.local_execution import job_file, platforms, runner
from kubeflow.local_execution.outcome import State
from kubeflow.local_execution.task_process import Processes
from kubeflow.steps import run_step
from kubeflow.storage import locations
from kubeflow.storage.stand_in import StandIn
from kubeflow.targets import Target
from kubeflow.training_job import manifest, step
from models import features
from models.training.trainer import run_fn
from pipeline.config.tree import load_config
from pipeline.summary import Summary
from pipeline.workspace import Workspace
from tests.e2e.pipeline_runs import SMALL, run
from tests.e2e.pushed_models import vectors
from tests.kubeflow import gcs_server
from tests.kubeflow.kubernetes_api import Api, serve
from tests.kubeflow.trainer_step import arguments, container, executor_input
from tests.models.training_process import finish, start_cluster

pytestmark = pytest.mark.slow

THREE = (*SMALL, "training.workers=3", "training.accelerator=NVIDIA_TESLA_T4")


class Operator:
    """Runs the replicas of a job here, and keeps the job's status as the operator does."""

    def __init__(self, api: Api, outputs: str = "", outputs_of_workers: str = "") -> None:
        self.api = api
        self.outputs, self.outputs_of_workers = outputs, outputs_of_workers
        self.training = threading.Thread()

    def look(self, job: dict[str, Any]) -> None:
        if self.training.ident is None:
            self.training = threading.Thread(target=self._train, args=(job,))
            self.training.start()

    def _train(self, job: dict[str, Any]) -> None:
        commands = {"chief": self._command(job, "Chief"), "worker": self._command(job, "Worker")}
        commands["worker"] = [
            text.replace(self.outputs, self.outputs_of_workers) for text in commands["worker"]
        ]
        replicas = job["spec"]["tfReplicaSpecs"]
        counts = {kind: replicas[kind.capitalize()]["replicas"] for kind in commands}
        ended = finish(start_cluster(counts, lambda task: commands[task.split("-")[0]]))
        for (kind, index), (code, printed) in ended.items():
            self._tell(job["metadata"]["name"], f"{kind}-{index}", code, printed)
        kind = "Failed" if any(code for code, _ in ended.values()) else "Succeeded"
        job["status"] = {"conditions": [{"type": kind, "status": "True"}]}

    def _command(self, job: dict[str, Any], kind: str) -> list[str]:
        """What Kubernetes starts in a replica: it makes one $ of two."""
        (main,) = job["spec"]["tfReplicaSpecs"][kind]["template"]["spec"]["containers"]
        assert main["name"] == "tensorflow"
        assert main["command"][0] == "python"
        return [sys.executable, *main["command"][1:], *(t.replace("$$", "$") for t in main["args"])]

    def _tell(self, job: str, replica: str, code: int, printed: str) -> None:
        pod = f"{job}-{replica}"
        lines = enumerate(printed.splitlines(), start=1)
        self.api.logs[pod] = [f"{number:09d} {line}" for number, line in lines]
        terminated = {"exitCode": code, "message": printed[-2000:]}
        labels = {"training.kubeflow.org/job-name": job}
        self.api.pods.append(
            {
                "metadata": {"name": pod, "uid": pod, "labels": labels},
                "status": {"containerStatuses": [{"state": {"terminated": terminated}}]},
            }
        )


@dataclass(frozen=True)
class OneProcess:
    """A run of the pipeline on this machine, its Trainer in one process."""

    summary: Summary
    examples: Path
    graph: Path


@pytest.fixture(scope="module")
def one_process(cut: Path, tmp_path_factory: pytest.TempPathFactory) -> OneProcess:
    workspace = tmp_path_factory.mktemp("workspace")
    summary = run(workspace, cut, *SMALL)
    (examples,) = workspace.glob("artifacts/Transform/transformed_examples/*")
    (graph,) = workspace.glob("artifacts/Transform/transform_graph/*")
    return OneProcess(summary, examples, graph)


def test_its_replicas_train_and_export_the_model_of_one_process(
    one_process: OneProcess,
    cut: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root, output = tmp_path / "root", tmp_path / "output.json"
    pipeline = compiler.compile_pipeline(
        load_config(overrides=THREE),
        CompileOptions(
            target=Target.KFP,
            image="registry.example/movierec:1.2",
            pipeline_root=str(root),
            data=str(cut),
        ),
    )
    given = executor_input(
        pipeline,
        {
            "examples": (str(one_process.examples), {"split_names": json.dumps(features.SPLITS)}),
            "transform_graph": (str(one_process.graph), {}),
        },
        str(root / "run"),
        output,
    )
    # The workers are given another folder for outputs, with what they look for when the chief has
    # finished: what else is in it then, a worker has written.
    workers = tmp_path / "worker"
    (workers / "model" / "Format-Serving").mkdir(parents=True)
    operator = Operator(Api(), str(root / "run"), str(workers))
    api = operator.api
    api.changed = operator.look
    server = serve(api)
    monkeypatch.setattr(step, "connect", lambda: client.ApiClient(client.Configuration(api.url)))
    monkeypatch.setattr(manifest, "trains", lambda *_: True)
    monkeypatch.setenv(manifest.VARIABLE, container(pipeline)["env"][0]["value"])
    try:
        run_step.run(step_command.parse(["run_step", *arguments(pipeline, given)]))
    finally:
        operator.training.join()
        server.shutdown()
        server.server_close()

    printed = capfd.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("chief-0: ")]
    assert printed[-1].endswith(": succeeded")
    written = root / "run" / "model" / "Format-Serving"
    alone = vectors(Path(str(one_process.summary.pushed_model)))
    together = vectors(written)
    assert alone.keys() == together.keys() != set()
    for name, values in alone.items():
        np.testing.assert_allclose(together[name], values, atol=1e-5, err_msg=name)
    history = json.loads((root / "run" / "model_run" / "history.json").read_text())
    assert history["eval_rmse"] == pytest.approx(one_process.summary.rmse.eval, abs=1e-5)
    answer = tf.saved_model.load(str(written)).signatures["predict"](
        user_id=tf.constant(["nobody"]), movie_id=tf.constant(["none"])
    )
    assert np.isfinite(answer["rating"].numpy()).all()

    assert {path.relative_to(workers).as_posix() for path in workers.rglob("*")} == {
        "model",
        "model/Format-Serving",
    }
    told = json.loads(output.read_text())["artifacts"]
    assert {key: listed["artifacts"][0]["uri"] for key, listed in told.items()} == {
        key: str(root / "run" / key) for key in ("model", "model_run")
    }


@pytest.mark.parametrize("version", ["2.3.0", "2.4.1", "2.5.0", "2.17.0"])
def test_a_job_of_several_workers_runs_whole(
    version: str,
    one_process: OneProcess,
    cut: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its replicas read and write the bucket by Google's client, the other steps by a launcher."""
    workspace = Workspace(tmp_path / "workspace")
    buckets = runner.remote_folder(workspace) / "gs"
    data = buckets / "bucket" / "data"
    data.mkdir(parents=True)
    for source in cut.iterdir():
        (data / source.name).write_bytes(source.read_bytes())
    compile_options = CompileOptions(
        Target.KFP, "registry.example/movierec:1", "gs://bucket/root", "gs://bucket/data"
    )
    pipeline = compiler.compile_pipeline(load_config(overrides=THREE), compile_options)
    job = job_file.read_to_run_here(compiler.write(pipeline.text(), tmp_path / "job.yaml"))
    options = runner.Options(
        platform=platforms.find(job.schema, version),
        parameters=job.parameters,
        locations=locations.parse(buckets.parent, []),
        jobs=2,
        use_cache=False,
    )
    operator = Operator(Api())
    operator.api.changed = operator.look
    server = serve(operator.api)
    with gcs_server.serving(buckets, tmp_path) as clients:
        for name, value in clients.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KUBECONFIG", str(operator.api.kubeconfig(tmp_path)))
        start = Processes.run

        def in_a_cluster(
            processes: Processes, command: Sequence[str], environment: Mapping[str, str], log: Path
        ) -> int:
            """Lets the step with a TFJob see no folders in the place of buckets and mounts."""
            hidden = StandIn().environment() if manifest.VARIABLE in environment else {}
            seen = {name: value for name, value in environment.items() if name not in hidden}
            return start(processes, command, seen, log)

        monkeypatch.setattr(Processes, "run", in_a_cluster)
        try:
            result = runner.run(job, workspace, options, lambda _task, _outcome: None)
        finally:
            if operator.training.ident is not None:
                operator.training.join()
            server.shutdown()
            server.server_close()

    failures = [outcome.failure for outcome in result.outcomes.values() if outcome.failure]
    assert not failures
    assert len(result.tasks(State.DONE)) == len(job.tasks) == 14
    (name,) = operator.api.jobs
    replicas = {pod["metadata"]["name"] for pod in operator.api.pods}
    assert replicas == {f"{name}-{replica}" for replica in ("chief-0", "worker-0", "worker-1")}
    summary = compiled_summary.collect(job, job.parameters, result)
    assert summary.gate.blessed
    assert summary.pushed_model is not None
    for figure in ("train", "eval", "holdout"):
        expected = getattr(one_process.summary.rmse, figure)
        assert getattr(summary.rmse, figure) == pytest.approx(expected, abs=1e-5), figure


def test_the_trainer_reads_and_writes_where_only_tensorflow_can(
    one_process: OneProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A bucket stand-in: no other code than TensorFlow's opens such an address.
    bucket = "ram://bucket"
    for name, folder in (("examples", one_process.examples), ("graph", one_process.graph)):
        for path in filter(Path.is_file, folder.rglob("*")):
            copy = f"{bucket}/{name}/{path.relative_to(folder)}"
            tf.io.gfile.makedirs(copy.rpartition("/")[0])
            tf.io.gfile.copy(str(path), copy)
    config = load_config(overrides=(*SMALL, "training.epochs=1"))
    monkeypatch.chdir(tmp_path)
    run_fn(
        SimpleNamespace(
            train_files=[f"{bucket}/examples/Split-train/*"],
            eval_files=[f"{bucket}/examples/Split-eval/*"],
            transform_graph_path=f"{bucket}/graph",
            serving_model_dir=f"{bucket}/model",
            model_run_dir=f"{bucket}/model_run",
            hyperparameters=None,
            custom_config={
                "model": config.model.model_dump(mode="json"),
                "training": config.training.options.model_dump(mode="json"),
                "export": config.export.model_dump(mode="json"),
                "checkpoints": f"{bucket}/checkpoints",
                "code_fingerprint": "",
                "comparison_group": "[]",
            },
        )
    )
    assert "saved_model.pb" in tf.io.gfile.listdir(f"{bucket}/model")
    assert {"history.json", "reference_predictions.tfrecord"} <= set(
        tf.io.gfile.listdir(f"{bucket}/model_run")
    )
    assert not list(tmp_path.iterdir())
