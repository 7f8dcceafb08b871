"""`movierec rollback`: back to a version that was served before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from movierec.cli import options, output
from movierec.cli.pushed_version import find_pushed_version
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from pipeline.pushed_versions import Action


def rollback(
    version: Annotated[
        int | None,
        typer.Argument(
            metavar="[VERSION]", help="Version to go back to; the one before the served if omitted."
        ),
    ] = None,
    reason: options.Reason = options.DEFAULT_REASON,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    model_name: options.ModelName = DEFAULT_MODEL,
) -> None:
    """Serve an earlier version again, once it has answered in a server of its own.

    Servers that are running follow. It stays so until a run trains a better model.

    Example: movierec rollback --reason "complaints about the recommendations"
    """
    folder = Workspace(workspace)
    served = find_pushed_version(folder, model_name, None)
    if version is None:
        chosen = _before(folder, model_name, served)
    else:
        chosen = find_pushed_version(folder, model_name, version)
        if int(chosen.name) >= int(served.name):
            raise UserError(
                f"VERSION {version}: version {served.name} is served; expected an earlier one, or "
                f"`movierec promote {version}`"
            )
    serve_instead(folder, model_name, chosen, "rollback", reason)


def serve_instead(
    workspace: Workspace, model_name: str, version: Path, action: Action, reason: str
) -> None:
    """Makes servers answer with a version once it has answered in a trial, and says so."""
    with output.hidden_logs():
        from pipeline import pushed_versions

        change = pushed_versions.serve(workspace, model_name, version, action, reason)
    instead = "" if change.replaced in (None, change.version) else f" instead of {change.replaced}"
    print(f"version {change.version} is served{instead}; servers on this machine follow")
    print(f"in a cluster: movierec serving-manifests --set kubernetes.model_version={version.name}")


def _before(workspace: Workspace, model_name: str, served: Path) -> Path:
    from serving.version_pin import read_pin
    from serving.versions import versions

    rejected = read_pin(served.parent).rejected
    earlier = [
        version
        for version in versions(served.parent)
        if int(version.name) < int(served.name) and int(version.name) not in rejected
    ]
    if not earlier:
        raise UserError(f"{served}: there is no earlier version to go back to")
    return earlier[-1]
