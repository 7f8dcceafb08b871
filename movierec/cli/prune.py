"""`movierec prune`: the removal of what a workspace no longer needs."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from movierec.cli import options, output
from pipeline.workspace import Workspace

_MEGABYTE: Final = 1e6


def prune(
    keep: Annotated[
        int,
        typer.Option(
            "--keep", metavar="NUMBER", min=1, help="Number of newest versions and runs to keep."
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")
    ] = False,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
) -> None:
    """Remove old versions, runs and their artifacts, and what killed runs left.

    The served version, the last blessed run and the best one always stay.

    Example: movierec prune --keep 5 --dry-run
    """
    with output.hidden_logs():
        from pipeline import pruning

        found = pruning.prune(Workspace(workspace), keep, dry_run)
    verb = "would remove" if dry_run else "removed"
    for one in found:
        output.print_line(f"{verb} {one.path} ({one.kind}, {one.size / _MEGABYTE:.1f} MB)")
    total = sum(one.size for one in found) / _MEGABYTE
    print(f"{verb} {len(found)} files and folders, {total:.1f} MB")
