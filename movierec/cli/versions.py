"""`movierec versions`: the pushed versions, and which one is served."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from movierec.cli import options, output
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL

if TYPE_CHECKING:
    from pipeline.pushed_versions import PushedVersion


def versions(
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    model_name: options.ModelName = DEFAULT_MODEL,
    as_json: options.AsJson = False,
) -> None:
    """List the pushed versions: which one is served, when and by which run it came, and why.

    Example: movierec versions --json
    """
    with output.hidden_logs():
        from pipeline import pushed_versions

        found = pushed_versions.pushed_versions(Workspace(workspace), model_name)
    if as_json:
        output.print_json([asdict(version) for version in found])
        return
    if not found:
        folder = Workspace(workspace).serving(model_name)
        raise UserError(f"{folder}: no model has been pushed; run `movierec run` first")
    for version in found:
        output.print_line(_line(version))


def _line(version: PushedVersion) -> str:
    figures = [
        f"{name} {figure:.4f}"
        for name, figure in (("RMSE", version.rmse), ("NDCG@10", version.ndcg_at_10))
        if figure is not None
    ]
    described = ", ".join(
        [f"pushed {version.pushed_at}", f"run {version.run_id or 'unknown'}", *figures]
    )
    mark = "→" if version.served else " "
    state = "served" if version.served else "not served"
    return f"{mark} {version.version}  {described}; {state}: {version.reason}"
