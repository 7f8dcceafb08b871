"""The worker that the image is, started by a pool of Beam's own as beside a task manager."""

import ast
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from kubeflow.steps import beam_worker
from pipeline.config.beam import BeamConfig
from serving.ports import free_port

ROOT = Path(__file__).parents[3]
SECONDS_TO_START = 60


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class WhoWorks(beam.DoFn):
    """Says which process it is in, and whether that has imported TFX."""

    def process(self, element: str) -> list[tuple[str, int, bool]]:
        return [(element, os.getpid(), "tfx" in sys.modules and "pipeline" in sys.modules)]


def test_beam_and_a_platform_call_the_same_image() -> None:
    assert beam_worker.is_asked_for(["--id=1-1", "--provision_endpoint=localhost:1"])
    assert not beam_worker.is_asked_for(["--executor_class_path", "a.b", "--runner=FnApiRunner"])


@pytest.mark.slow
def test_workers_of_a_pool_do_the_work_with_the_options_of_the_pipeline(tmp_path: Path) -> None:
    executable = tmp_path / "worker"
    executable.write_text(f'#!/bin/sh\nexec {sys.executable} -m kubeflow.steps.run_step "$@"\n')
    executable.chmod(0o755)
    port = free_port("127.0.0.1")
    module = "apache_beam.runners.worker.worker_pool_main"
    flags = [f"--service_port={port}", f"--container_executable={executable}"]
    written = tmp_path / "written"
    with (tmp_path / "pool.log").open("w") as log:
        pool = subprocess.Popen(
            [sys.executable, "-m", module, *flags],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
        try:
            give_up = time.monotonic() + SECONDS_TO_START
            while not listens(port):
                assert pool.poll() is None, (tmp_path / "pool.log").read_text()
                assert time.monotonic() < give_up
                time.sleep(0.1)
            config = BeamConfig(
                runner="portable",
                job_endpoint="service:1",
                environment_type="EXTERNAL",
                environment_config=f"localhost:{port}",
            )
            told = config.arguments_for("Transform", "registry.example/movierec:1.2")
            # A job service inside this process, in place of one that listens.
            told = [text.replace("service:1", "embed") for text in told]
            with beam.Pipeline(options=PipelineOptions(told)) as pipeline:
                _ = (
                    pipeline
                    | beam.Create(["a", "b"])
                    | beam.ParDo(WhoWorks())
                    | beam.Map(repr)
                    | beam.io.WriteToText(str(written), shard_name_template="")
                )
        finally:
            pool.terminate()
            pool.wait()
    found = [ast.literal_eval(line) for line in written.read_text().splitlines()]
    assert {element for element, _, _ in found} == {"a", "b"}
    assert os.getpid() not in {process for _, process, _ in found}
    assert all(imported for _, _, imported in found)
