"""Beam options that somebody has written, held against Beam's own parser."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions


def problem(arguments: Sequence[str], complete: bool) -> str | None:
    """What is wrong with the options, as Beam says it.

    Args:
        arguments: all that a step's Beam is told.
        complete: whether Beam knows all options that there are; job services have some of theirs.
    """
    said = io.StringIO()
    try:
        # Beam's parser prints what is wrong, and ends the process.
        with contextlib.redirect_stderr(said):
            given = PipelineOptions(arguments).get_all_options(retain_unknown_options=True)
    except SystemExit:
        return said.getvalue().strip().rpartition("error: ")[2]
    known = PipelineOptions([]).get_all_options()
    unknown = sorted(f"--{name}" for name in given.keys() - known.keys())
    return f"{', '.join(unknown)}: no option of Beam" if complete and unknown else None
