"""Tables as a person sees them."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table


def rows(table: Table) -> list[list[str]]:
    """The cells of the headings and of each line below them."""
    shown = io.StringIO()
    Console(file=shown, width=300).print(table)
    lines = [line for line in shown.getvalue().splitlines() if line[0] in "┃│"]
    return [[cell.strip() for cell in line[1:-1].replace("┃", "│").split("│")] for line in lines]
