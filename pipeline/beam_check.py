"""Checks before a run or a compilation that Beam can work as the configuration says."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pipeline.config.beam import BEAM_NAMES, BEAM_STEPS, EXAMPLE_GEN, PROCESSES_RUNNER, BeamConfig
from pipeline.config.errors import UserError
from pipeline.config.locations import is_stored

_ANSWER_SECONDS: Final = 5.0
_RUNNERS_HERE: Final = {None, BEAM_NAMES["direct"], PROCESSES_RUNNER}
# The only runners whose flags Beam knows completely; a job service may have flags of its own.
_RUNNERS_WITH_KNOWN_FLAGS: Final = {"direct", "dataflow"}


def check_run(beam: BeamConfig) -> None:
    """Checks that Beam can work for a run on this machine.

    Raises:
        UserError: Beam does not know a flag, the workers do not reach the run's files, something
            is not installed, or the job service does not answer.
    """
    _check_local_files(beam, None)
    _check_flags(beam)
    check_start(beam.arguments_for(EXAMPLE_GEN, None))
    if beam.job_endpoint is not None:
        _check_answers(beam.job_endpoint)


def check_compiled(beam: BeamConfig, image: str, root: str, data: str) -> None:
    """Checks that Beam can work for the steps of a compiled pipeline.

    Args:
        beam: Section of the configuration.
        image: Image of the steps.
        root: Folder that the steps write to.
        data: Folder of the ratings.

    Raises:
        UserError: Beam does not know a flag, the workers do not reach the folders or the steps, or
            the image lacks what the runner needs.
    """
    _check_flags(beam)
    if root.startswith("/"):
        _check_local_files(beam, image)
        return
    arguments = beam.arguments_for(EXAMPLE_GEN, image)
    check_in_cluster(arguments, {"--pipeline-root": root, "data": data})


def check_in_cluster(arguments: Sequence[str], folders: Mapping[str, str]) -> None:
    """Checks that Beam can work for a step that runs in the image in a cluster.

    Args:
        arguments: Arguments of the step, with those of `BeamConfig.arguments_for` among them.
        folders: Folders that the step reads and writes, by the name that errors give them.

    Raises:
        UserError: The workers do not reach the folders or the step, or the image lacks what the
            runner needs.
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
            "image has none; expected beam.job_endpoint, HOST:PORT of a running job service"
        )
    for option, uri in folders.items():
        if is_stored(uri):
            raise UserError(
                f"{option} {uri}: only steps that work on their own machine reach it; expected "
                f"gs://BUCKET/PATH, or beam.runner=direct"
            )


def check_start(arguments: Sequence[str]) -> None:
    """Checks that this machine has what it needs to start Beam's work.

    Args:
        arguments: Arguments from `BeamConfig.arguments_for`.

    Raises:
        UserError: Something is missing.
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
            "beam.spark_master_url: the job server needs Java, and there is no java here; install "
            "it, or set beam.job_endpoint to a running job service"
        )
    flag = f"{'spark' if spark else 'flink'}_job_server_jar"
    jar = _value(arguments, flag)
    if jar is not None and "://" not in jar and not Path(jar).is_file():
        raise UserError(f"--{flag}={jar}: no such file on the machine of the step")


def stays_here(arguments: Sequence[str]) -> bool:
    """Returns whether Beam does all of its work on this machine.

    Workers on other machines lack what is mounted here.
    """
    return _value(arguments, "runner") in _RUNNERS_HERE


def _starts_job_server(arguments: Sequence[str]) -> bool:
    """Returns whether a job server in Java starts beside the step; Flink needs none."""
    on_spark = _value(arguments, "runner") == BEAM_NAMES["spark"]
    return on_spark and _value(arguments, "job_endpoint") is None


def _check_local_files(beam: BeamConfig, image: str | None) -> None:
    problem = "its workers do not reach files of this machine; compile for a cluster, or set"
    if beam.runner == "dataflow":
        raise UserError(f"beam.runner=dataflow: {problem} direct or portable")
    if beam.environment(image) == "DOCKER":
        raise UserError(
            f"beam.environment_type=DOCKER: {problem} LOOPBACK, or EXTERNAL or PROCESS with "
            f"workers on this machine"
        )


def _check_flags(beam: BeamConfig) -> None:
    """Checks that Beam knows the flags of `beam.arguments` and `beam.component_arguments`."""
    if not beam.arguments and not beam.component_arguments:
        return
    for step in BEAM_STEPS:
        complete = beam.runner in _RUNNERS_WITH_KNOWN_FLAGS
        problem = _flag_problem(beam.arguments_for(step, None), complete)
        if problem is not None:
            own = beam.component_arguments.get(step)
            key = f"component_arguments.{step}" if own else "arguments"
            raise UserError(f"beam.{key}: {problem}")


def _flag_problem(arguments: Sequence[str], complete: bool) -> str | None:
    """Returns what Beam's own parser says against flags; None if it accepts them.

    Args:
        arguments: All flags of a step.
        complete: Whether a flag that Beam does not know is an error.
    """
    # Beam takes seconds to import, and only these two keys need it.
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415

    printed = io.StringIO()
    try:
        # Beam's parser prints what is wrong, and ends the process.
        with contextlib.redirect_stderr(printed):
            parsed = PipelineOptions(arguments).get_all_options(retain_unknown_options=True)
    except SystemExit:
        return printed.getvalue().strip().rpartition("error: ")[2]
    known = PipelineOptions([]).get_all_options()
    unknown = sorted(f"--{name}" for name in parsed.keys() - known.keys())
    return f"{', '.join(unknown)}: Beam has no such flag" if complete and unknown else None


def _check_answers(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"beam.job_endpoint={endpoint}: no job service answers ({error}); start one first"
        ) from error


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        # A package around the module is missing.
        return False


def _value(arguments: Sequence[str], flag: str) -> str | None:
    """Returns the last value of a flag, which is the one that Beam takes."""
    prefix = f"--{flag}="
    values = [text.removeprefix(prefix) for text in arguments if text.startswith(prefix)]
    return values[-1] if values else None
