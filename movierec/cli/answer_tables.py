"""Tables of what a model server answers."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serving.answers import Recommendation, VersionStatus


def show_ranking(console: Console, found: Sequence[Recommendation]) -> None:
    """Movies with their scores, best first."""
    if not found:
        console.print("no movies are left to answer with")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("movie", overflow="fold")
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    for rank, entry in enumerate(found, start=1):
        table.add_row(str(rank), Text(entry.title), Text(entry.movie_id), f"{entry.score:.2f}")
    console.print(table)


def show_status(console: Console, found: Sequence[VersionStatus]) -> None:
    """Versions with their states, oldest first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("version", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("error", overflow="fold")
    for status in found:
        table.add_row(str(status.version), status.state, Text(status.error))
    console.print(table)
