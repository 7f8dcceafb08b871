"""The version of a pushed model that a command is asked for."""

from __future__ import annotations

from pathlib import Path

from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving.versions import versions


def find_pushed_version(workspace: Workspace, model_name: str, version: int | None) -> Path:
    """Returns the folder of a pushed version.

    Args:
        workspace: Workspace that the model was pushed in.
        model_name: Name under which the model is served.
        version: Number of the version; None for the served one.

    Raises:
        UserError: No model has been pushed under the name, or none with this version.
        ServingError: The pin cannot be read.
    """
    folder = workspace.serving(model_name).resolve()
    present = versions(folder)
    if not present:
        raise UserError(f"{folder}: no model has been pushed; run `movierec run` first")
    if version is None:
        from serving.version_pin import served_version

        served = served_version(folder)
        if served is None:
            raise UserError(
                f"{folder}: the pinned version is gone, and there is none before it; `movierec "
                f"promote {present[-1].name}` serves the newest"
            )
        return served
    chosen = next((entry for entry in present if int(entry.name) == version), None)
    if chosen is None:
        names = ", ".join(entry.name for entry in present)
        raise UserError(f"version {version}: {folder} has no such version; expected one of {names}")
    return chosen
