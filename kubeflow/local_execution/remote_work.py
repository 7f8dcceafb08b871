"""Refuses tasks that would have other machines work for them."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from kubeflow.local_execution.job import Task
from pipeline import beam_check
from pipeline.config.beam import BEAM_NAMES
from pipeline.config.errors import UserError

_STARTS_A_PAID_JOB: Final = "tfx.extensions.google_cloud_ai_platform."

# Runners that hand the work to whoever answers at an address, and the option for that address
# where there is no job service.
_MASTERS: Final = {
    BEAM_NAMES["portable"]: "job_endpoint",
    BEAM_NAMES["flink"]: "flink_master",
    BEAM_NAMES["spark"]: "spark_master_url",
}
# Spark as a part of the job server that the step starts.
_NO_CLUSTER: Final = re.compile(r"local(\[[\d*]+\])?")
# Started by this process, or beside the job service.
_WORKERS_HERE: Final = ("LOOPBACK", "PROCESS")


def refuse(task: Task) -> None:
    """Sees that all work of a task is done on this machine.

    Raises:
        UserError: its command has it done elsewhere, with the data.
    """
    command = task.container.command
    if any(word.startswith(_STARTS_A_PAID_JOB) for word in command):
        raise UserError(
            f"task {task.name}: it starts a job on Vertex AI; compile with training.workers=1 to "
            "run it on this machine"
        )
    beam = _beam_options(command)
    if _beam_stays_here(beam):
        return
    told = ", ".join(f"--{name}={value}" for name, value in vars(beam).items() if value)
    raise UserError(
        f"task {task.name}: Beam's work would not stay in processes of this machine ({told}); "
        "compile with beam.runner=direct or, for a --pipeline-root of this machine, with "
        "beam.runner=portable, beam.job_endpoint=localhost:PORT and beam.environment_type=LOOPBACK"
    )


def _beam_options(command: Sequence[str]) -> argparse.Namespace:
    """Returns what decides where Beam works, as Beam's own parser takes it from a command."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in (
        "runner",
        "job_endpoint",
        "artifact_endpoint",
        "flink_master",
        "spark_master_url",
        "environment_type",
        "environment_config",
    ):
        parser.add_argument(f"--{name}", nargs="?")
    options, _ = parser.parse_known_args(command)
    return options


def _beam_stays_here(beam: argparse.Namespace) -> bool:
    if beam.runner is None or beam_check.stays_here([f"--runner={beam.runner}"]):
        return True
    return beam.runner in _MASTERS and all(_are_here(beam))


def _are_here(beam: argparse.Namespace) -> Iterator[bool]:
    """Whether who takes the work, who takes files for it and the workers are on this machine."""
    master = beam.job_endpoint or getattr(beam, _MASTERS[beam.runner]) or ""
    within = beam.runner == BEAM_NAMES["spark"] and not beam.job_endpoint
    yield _is_loopback(master) or (within and _NO_CLUSTER.fullmatch(master) is not None)
    yield beam.artifact_endpoint is None or _is_loopback(beam.artifact_endpoint)
    # A container does not have the files of this machine.
    external = beam.environment_type == "EXTERNAL" and _is_loopback(beam.environment_config or "")
    yield external or beam.environment_type in _WORKERS_HERE


def _is_loopback(address: str) -> bool:
    """Returns whether HOST:PORT or a URL is reached by this machine alone."""
    try:
        host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
