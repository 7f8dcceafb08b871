"""The report on the moves of the data. This module imports neither TensorFlow nor TFX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from models.records import Record

STATISTICS_NAMES: Final = (
    "ratings",
    "users",
    "movies",
    "rating",
    "genres",
    "activity",
    "time",
)
"""Names of the moves between the statistics of two runs."""
PROFILES: Final = "profiles"
"""Name of the move of what is known of users."""
SAMPLE_NAMES: Final = ("gone", "changed", "titles", PROFILES, "late")
"""Names of the moves between the samples of two runs."""
SPAN: Final = "span"
"""Name of the move of the newest span."""
NAMES: Final = (*STATISTICS_NAMES, *SAMPLE_NAMES, SPAN)
"""Names of the moves, by which a person accepts them."""


class Move(Record):
    """A move of the data, and how far it may be.

    Attributes:
        name: One of `NAMES`, or a feature of requests (`pipeline.request_skew`).
        measure: Measure of the distance.
        before: Data of the last blessed model, for `span` of the earlier spans, as text.
        now: Data of this run, for `span` of its newest one, as text.
        moved: Distance in the unit of the measure.
        allowed: Largest distance.
    """

    name: str
    measure: str
    before: str
    now: str
    moved: float
    allowed: float

    @property
    def exceeded(self) -> bool:
        """Whether the data moved too far."""
        return self.moved > self.allowed


class DriftReport(Record):
    """The moves of the data since the last blessed model.

    Attributes:
        version: Version of the last blessed model; None if no version can be compared with.
        moves: All moves, whether they are within their limits or not.
        accepted: Names of the moves beyond their limits that a person accepted.
        not_compared: What could not be compared and why, a line for each.
    """

    version: str | None
    moves: tuple[Move, ...] = ()
    accepted: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()


def compared_with(version: str | None, moves: Sequence[Move]) -> str:
    """Returns what data the moves were measured against, in words.

    Args:
        version: Version of the last blessed model; None if no version was compared with.
        moves: Moves, at least one.
    """
    names = {move.name for move in moves}
    earlier = [f"the last blessed version {version}"] if names - {SPAN} else []
    return " and ".join([*earlier, *(["the other spans"] if SPAN in names else [])])


def table(rows: Sequence[Move], before: str = "before", now: str = "now") -> list[str]:
    """Returns the moves as lines of text with aligned columns.

    Args:
        rows: Moves to show.
        before: Heading of what is compared with.
        now: Heading of what is compared.
    """
    cells = [
        ("name", "measure", before, now, "moved", "allowed"),
        *(
            (row.name, row.measure, row.before, row.now, f"{row.moved:.4g}", f"{row.allowed:g}")
            for row in rows
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
