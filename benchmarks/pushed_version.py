"""The pushed model that is measured."""

from __future__ import annotations

from pathlib import Path

from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL
from serving.versions import newest_version


def pushed_version(workspace: Workspace) -> Path:
    """Returns the folder of the newest version that a run has pushed.

    Raises:
        SystemExit: There is none.
    """
    pushed = newest_version(workspace.serving(DEFAULT_MODEL).resolve())
    if pushed is None:
        raise SystemExit(f"{workspace.root}: has no pushed model; `movierec run` pushes one")
    return pushed
