"""What a step is called in a compiled pipeline."""

from __future__ import annotations

import re

_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def task_name(node_id: str) -> str:
    """A step's name as a DNS label: `movie-lens-example-gen` for `MovieLensExampleGen`."""
    return _WORD_STARTS.sub("-", node_id).lower()


def component_name(node_id: str) -> str:
    """The name of the description of a step's inputs and outputs."""
    return f"comp-{task_name(node_id)}"


def executor_name(node_id: str) -> str:
    """The name of the description of a step's container."""
    return f"exec-{task_name(node_id)}"
