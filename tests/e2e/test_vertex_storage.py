"""A job of Vertex AI whose steps read and write `gs://` by Google's own clients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.local_execution import job_file, platforms, pod, runner
from kubeflow.local_execution.outcome import State
from kubeflow.storage import locations
from kubeflow.storage.stand_in import StandIn
from kubeflow.targets import Target
from pipeline.config.tree import load_config
from pipeline.workspace import Workspace
from tests.e2e.pipeline_runs import SMALL
from tests.kubeflow import gcs_server

pytestmark = pytest.mark.slow

BUCKET = "gs://bucket"


def test_every_step_reads_and_writes_buckets(
    cut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder stands in for the bucket: the steps know its address alone, and no mount."""
    workspace = Workspace(tmp_path / "ws")
    buckets = runner.remote_folder(workspace) / "gs"
    data = buckets / "bucket" / "data"
    data.mkdir(parents=True)
    for source in cut.iterdir():
        (data / source.name).write_bytes(source.read_bytes())
    compile_options = CompileOptions(
        Target.VERTEX, "registry.example/movierec:1", f"{BUCKET}/root", f"{BUCKET}/data"
    )
    pipeline = compiler.compile_pipeline(load_config(overrides=SMALL), compile_options)
    path = compiler.write(pipeline.text(), tmp_path / "job.json")
    job = job_file.read_to_run_here(path)
    options = runner.Options(
        platform=platforms.VERTEX,
        parameters=job.parameters,
        locations=locations.parse(buckets.parent, []),
        jobs=2,
        use_cache=False,
    )
    with gcs_server.serving(buckets, tmp_path) as clients:
        monkeypatch.setattr(
            pod.Pod,
            "environment",
            lambda machine: {
                **clients,
                **StandIn(str(machine.folder)).environment(),
                "TMPDIR": f"{machine.folder}/tmp",
            },
        )
        result = runner.run(job, workspace, options, lambda _task, _outcome: None)
    failures = [outcome.failure for outcome in result.outcomes.values() if outcome.failure]
    assert not failures
    assert len(result.tasks(State.DONE)) == len(job.tasks) == 14
    (model,) = (buckets / "bucket" / "root" / "serving" / "movierec").glob("*/saved_model.pb")
    told = json.loads((result.folder / "tasks.json").read_text())["pusher"]["artifacts"]
    metadata = told["pushed_model"]["metadata"]
    assert metadata["pushed"] == 1
    assert metadata["pushed_destination"] == str(model.parent)
