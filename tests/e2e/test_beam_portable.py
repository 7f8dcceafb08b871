"""The data steps by a Beam job service, and in worker processes: the model stays the same."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config.beam import BEAM_STEPS
from pipeline.config.errors import UserError
from pipeline.summary import Summary
from tests.e2e.pipeline_runs import SMALL, run

pytestmark = pytest.mark.slow

SECONDS_TO_START = 120


@pytest.fixture
def job_endpoint(tmp_path: Path) -> Iterator[str]:
    """A job service of Beam's own on this machine."""
    port_file = tmp_path / "service" / "port"
    module = "apache_beam.runners.portability.local_job_service_main"
    log = (tmp_path / "service.log").open("w")
    service = subprocess.Popen(
        [sys.executable, "-m", module, "--port_file", str(port_file)],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        give_up = time.monotonic() + SECONDS_TO_START
        while not port_file.exists():
            assert service.poll() is None, (tmp_path / "service.log").read_text()
            assert time.monotonic() < give_up
            time.sleep(0.1)
        yield f"localhost:{port_file.read_text()}"
    finally:
        service.kill()
        service.wait()
        log.close()


@pytest.fixture(scope="module")
def in_process(cut: Path, tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return run(tmp_path_factory.mktemp("in_process"), cut, *SMALL)


def log_of(workspace: Path) -> str:
    (log,) = workspace.glob("runs/*/log.txt")
    return log.read_text()


def test_a_job_service_makes_the_model_of_this_process(
    cut: Path, tmp_path: Path, in_process: Summary, job_endpoint: str
) -> None:
    workspace = tmp_path / "workspace"
    summary = run(
        workspace, cut, *SMALL, "beam.runner=portable", f"beam.job_endpoint={job_endpoint}"
    )
    assert summary.rmse.holdout == pytest.approx(in_process.rmse.holdout, abs=1e-6)
    assert summary.pushed_model
    log = log_of(workspace)
    # Every step has the service start its workers, in this process.
    assert log.count("Listening for workers at") >= len(BEAM_STEPS)
    assert "--extra_package" not in log


def test_two_worker_processes_make_the_model_of_this_process(
    cut: Path, tmp_path: Path, in_process: Summary
) -> None:
    workspace = tmp_path / "workspace"
    summary = run(workspace, cut, *SMALL, "beam.workers=2")
    assert summary.rmse.holdout == pytest.approx(in_process.rmse.holdout, abs=1e-6)
    assert summary.pushed_model
    log = log_of(workspace)
    assert log.count("Python sdk harness starting") >= 2 * len(BEAM_STEPS)


def test_a_job_service_that_is_not_there_is_missed_before_anything_is_written(
    cut: Path, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody else's, and nobody answers.
        taken.bind(("localhost", 0))
        endpoint = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"beam\.job_endpoint={endpoint}: no job service"):
            run(
                tmp_path / "w", cut, *SMALL, "beam.runner=portable", f"beam.job_endpoint={endpoint}"
            )
    assert not (tmp_path / "w").exists()
