"""The command line that steps and the replicas of a TFJob share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from absl.flags import argparse_flags

from kubeflow.targets import Target
from pipeline.config.errors import EXPECTED, LINE_START


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the command's own arguments, and those that are Beam's.

    Args:
        argv: Name of the program, and its arguments.
    """
    parser = argparse_flags.ArgumentParser()
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args")
    parser.add_argument("--target", choices=list(Target))
    parser.add_argument("--declared")
    arguments, beam_arguments = parser.parse_known_args(argv[1:])
    return arguments, beam_arguments


@contextmanager
def explained() -> Iterator[None]:
    """Ends the process with the message alone of an error that is meant for a person."""
    try:
        yield
    except EXPECTED as error:
        sys.exit(f"{LINE_START}{error}")
