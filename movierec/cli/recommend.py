"""`movierec recommend`: movies for a user, from a pushed model without a server."""

from __future__ import annotations

from dataclasses import asdict

from movierec.cli import options, output
from movierec.cli.pushed_version import find_pushed_version
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL


def recommend(
    user: options.UserId,
    k: options.MovieCount = 10,
    among: options.Among = None,
    genre: options.Genres = None,
    workspace: options.WorkspaceFolder = options.DEFAULT_WORKSPACE,
    version: options.PushedVersion = None,
    model_name: options.ModelName = DEFAULT_MODEL,
    as_json: options.AsJson = False,
) -> None:
    """Recommend movies to a user, by a pushed model and without a server.

    Example: movierec recommend --user 42 -k 5 --genre Comedy
    """
    pushed = find_pushed_version(Workspace(workspace), model_name, version)
    with output.hidden_logs():
        from serving.pushed_model import PushedModel

        model = PushedModel(pushed)
        if among or genre:
            found = model.recommend_among(user, among or (), genre or (), k)
        else:
            found = model.recommend(user, k)
    if as_json:
        output.print_json([asdict(entry) for entry in found])
        return
    for rank, entry in enumerate(found, start=1):
        output.print_line(f"{rank:>3}  {entry.shown:5.2f}  {entry.title or entry.movie_id}")
