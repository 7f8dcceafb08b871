"""`movierec promote`: any pushed version, served from now on."""

from __future__ import annotations

from typing import Annotated

import typer

from movierec.cli import options
from movierec.cli.pushed_version import find_pushed_version
from movierec.cli.rollback import serve_instead
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL


def promote(
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Version to serve.")],
    reason: options.Reason = options.DEFAULT_REASON,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    model_name: options.ModelName = DEFAULT_MODEL,
) -> None:
    """Serve a version from now on, once it has answered in a server of its own.

    After the newest version is promoted, servers follow new versions again.

    Example: movierec promote 1795897611
    """
    folder = Workspace(workspace)
    chosen = find_pushed_version(folder, model_name, version)
    serve_instead(folder, model_name, chosen, "promote", reason)
