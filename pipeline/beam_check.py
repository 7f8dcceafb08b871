"""What a Beam runner needs beside its options, said before it is used."""

from __future__ import annotations

import importlib.util
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pipeline.config.beam import BEAM_NAMES, BEAM_STEPS, EXAMPLE_GEN, PROCESSES_RUNNER, BeamConfig
from pipeline.config.errors import UserError
from pipeline.config.object_stores import is_stored

_ANSWER_SECONDS: Final = 5.0
_RUNNERS_HERE: Final = {None, BEAM_NAMES["direct"], PROCESSES_RUNNER}


def check_run(beam: BeamConfig) -> None:
    """Whether Beam can work for a run on this machine.

    Raises:
        UserError: Beam does not know an option, the workers do not reach its files, something is
            not installed, or the job service does not answer.
    """
    _check_local_files(beam, None)
    _check_options(beam)
    check_start(beam.arguments_for(EXAMPLE_GEN, None))
    if beam.job_endpoint is not None:
        _check_answers(beam.job_endpoint)


def check_compiled(beam: BeamConfig, image: str, root: str, data: str) -> None:
    """Whether Beam can work for the steps of a cluster.

    Args:
        beam: how.
        image: of the steps.
        root: the folder for what they write.
        data: the folder of the ratings.

    Raises:
        UserError: Beam does not know an option, its workers do not reach those or the steps, or
            the image lacks what it needs.
    """
    _check_options(beam)
    if root.startswith("/"):
        _check_local_files(beam, image)
        return
    arguments = beam.arguments_for(EXAMPLE_GEN, image)
    check_in_cluster(arguments, {"--pipeline-root": root, "data": data})


def check_in_cluster(arguments: Sequence[str], folders: Mapping[str, str]) -> None:
    """Whether Beam can work for a step of a cluster, in the image of the steps.

    Args:
        arguments: of the step, as `BeamConfig.arguments_for` makes them; others may be among them.
        folders: what is read and written, by what names it.

    Raises:
        UserError: its workers do not reach those or the step, or the image lacks what it needs.
    """
    if stays_here(arguments):
        return
    if _value(arguments, "environment_type") == "LOOPBACK":
        raise UserError(
            "beam.environment_type=LOOPBACK: a cluster does not reach the process of a step; "
            "expected DOCKER, EXTERNAL or PROCESS"
        )
    if _starts_job_server(arguments):
        raise UserError(
            "beam.spark_master_url: the step would start a job server, which needs Java, and the "
            "image has none; expected beam.job_endpoint, HOST:PORT of one that runs"
        )
    for option, uri in folders.items():
        if is_stored(uri):
            raise UserError(
                f"{option} {uri}: only steps that work on their own machine reach it; expected "
                f"gs://BUCKET/PATH, or beam.runner=direct"
            )


def check_start(arguments: Sequence[str]) -> None:
    """Whether this machine has what it takes to start Beam's work.

    Args:
        arguments: as `BeamConfig.arguments_for` makes them.

    Raises:
        UserError: it lacks something.
    """
    runner = _value(arguments, "runner")
    if runner == BEAM_NAMES["dataflow"] and not _installed("google.cloud.dataflow"):
        raise UserError(
            "beam.runner=dataflow: Beam's clients of Google Cloud are not installed; "
            "install apache-beam[gcp]"
        )
    if _value(arguments, "job_endpoint") is not None:
        return
    spark = _starts_job_server(arguments)
    if spark and shutil.which("java") is None:
        raise UserError(
            "beam.spark_master_url: a job server is started here, and there is no java; install "
            "it, or start one elsewhere and name it in beam.job_endpoint"
        )
    jar = _value(arguments, f"{'spark' if spark else 'flink'}_job_server_jar")
    if jar is not None and "://" not in jar and not Path(jar).is_file():
        raise UserError(f"beam.job_server_jar={jar}: no such file on the machine of the step")


def stays_here(arguments: Sequence[str]) -> bool:
    """Whether all of Beam's work is done on this machine; workers elsewhere lack its mounts."""
    return _value(arguments, "runner") in _RUNNERS_HERE


def _starts_job_server(arguments: Sequence[str]) -> bool:
    """Whether a job server in Java starts beside the step; Flink itself takes its jobs."""
    on_spark = _value(arguments, "runner") == BEAM_NAMES["spark"]
    return on_spark and _value(arguments, "job_endpoint") is None


def _check_local_files(beam: BeamConfig, image: str | None) -> None:
    problem = "files of this machine are not there; compile for a cluster, or set"
    if beam.runner == "dataflow":
        raise UserError(f"beam.runner=dataflow: {problem} direct or portable")
    if beam.environment(image) == "DOCKER":
        raise UserError(
            f"beam.environment_type=DOCKER: {problem} LOOPBACK, or EXTERNAL or PROCESS with "
            f"workers on this machine"
        )


def _check_options(beam: BeamConfig) -> None:
    """Whether Beam knows what somebody has written for it; Beam is imported for that alone."""
    if not beam.arguments and not beam.component_arguments:
        return
    from pipeline import beam_options  # noqa: PLC0415

    for step in BEAM_STEPS:
        complete = beam.runner in {"direct", "dataflow"}
        problem = beam_options.problem(beam.arguments_for(step, None), complete)
        if problem is not None:
            own = beam.component_arguments.get(step)
            key = f"component_arguments.{step}" if own else "arguments"
            raise UserError(f"beam.{key}: {problem}")


def _check_answers(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"beam.job_endpoint={endpoint}: no job service answers there ({error}); start one first"
        ) from error


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        # Of a package around it.
        return False


def _value(arguments: Sequence[str], option: str) -> str | None:
    """The last value of an option, as Beam takes it."""
    prefix = f"--{option}="
    values = [text.removeprefix(prefix) for text in arguments if text.startswith(prefix)]
    return values[-1] if values else None
