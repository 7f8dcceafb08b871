"""Options of reading and splitting ratings. This module imports neither TensorFlow nor TFX."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import Field, field_validator, model_validator

from models.records import Options

EditionName = Literal[
    "ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "ml-latest", "ml-latest-small",
    "csv", "parquet",
]  # fmt: skip

AUTO: Final = "auto"
"""Name for the edition that the files are recognised as."""

PLACEHOLDER: Final = re.compile(r"\{(?P<name>SPAN|VERSION|YYYY|MM|DD)(:(?P<width>[1-9]\d?))?\}")
"""What stands in a path for a number or a part of a date, as in TFX's ExampleGen."""

TimestampUnit = Literal["s", "ms", "us", "ns"]

DateOrder = Literal["dmy", "mdy"]

Role = Literal["user", "movie", "rating", "timestamp", "title", "genres"]
"""What a column of a table of ratings or movies is."""

FOLDS = 5
_METHOD = re.compile(rf"hash|time|fold:[1-{FOLDS}]")


class SplitOptions(Options):
    """Division of the ratings into train, eval and holdout.

    - `hash` draws by a seeded hash of (user, movie). A rating keeps its split when data is added.
    - `time` holds out the newest ratings and evaluates on those just before them.
    - `fold:i` holds out the i-th official fold of MovieLens-100K and draws eval from the rest by
      hash.
    """

    method: str = Field("hash", description="Method: hash, time, or fold:1 to fold:5.")
    eval_fraction: float = Field(0.1, gt=0, lt=1, description="Share of ratings in eval.")
    holdout_fraction: float = Field(
        0.1, gt=0, lt=1, description="Share of ratings in the holdout; fold:i does not use it."
    )
    seed: int = Field(42, ge=0, lt=2**63, description="Seed of the hash.")

    @field_validator("method")
    @classmethod
    def _check_method(cls, method: str) -> str:
        if not _METHOD.fullmatch(method):
            raise ValueError(f"allowed: hash, time, fold:1 to fold:{FOLDS}")
        return method

    @model_validator(mode="after")
    def _check_fractions(self) -> SplitOptions:
        if self.eval_fraction + self.holdout_fraction >= 1:
            raise ValueError("eval_fraction + holdout_fraction must be below 1")
        return self

    @property
    def fold(self) -> int | None:
        """Number of the official fold, 1 to 5; None for other methods."""
        return int(self.method.removeprefix("fold:")) if ":" in self.method else None


class Dialect(Options):
    """How tables of ratings are written. A key without a value is recognised from the file."""

    delimiter: str | None = Field(
        None, description="Text between two fields; recognised if not set. `tab` is a tab."
    )
    header: bool | None = Field(
        None, description="Whether the first line names the columns; recognised if not set."
    )
    columns: dict[Role, str] = Field(
        {},
        description="Names of the columns by what they are: user, movie, rating, timestamp, title "
        "or genres. Without a header, their numbers from 1. Common names are recognised.",
    )
    rating_range: tuple[float, float] | None = Field(
        None, description="Lowest and highest rating; the edition's, or recognised, if not set."
    )
    rating_step: float | None = Field(
        None, gt=0, description="Distance of two ratings; others are rejected. Any if not set."
    )
    timestamp_unit: TimestampUnit | None = Field(
        None, description="Unit of timestamps since 1970: s, ms, us or ns; recognised if not set."
    )

    date_order: DateOrder | None = Field(
        None,
        description="Order of dates such as 03/04/2020: dmy or mdy; recognised if not set, if one "
        "of them has a day after the 12th.",
    )

    @field_validator("delimiter")
    @classmethod
    def _check_delimiter(cls, delimiter: str | None) -> str | None:
        if delimiter in ("tab", r"\t"):
            return "\t"
        if delimiter is None or delimiter == "::":
            return delimiter
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in "\r\n":
            raise ValueError("expected one ASCII character, tab or ::")
        if delimiter.isalnum() or delimiter in "\"'":
            raise ValueError("expected no letter, digit or quote")
        return delimiter

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: dict[Role, str]) -> dict[Role, str]:
        for role, name in columns.items():
            same = [other for other in columns if columns[other] == name]
            if same[0] != role:
                raise ValueError(f"{same[0]} and {role} are both {name}; expected a column each")
        return columns

    @field_validator("rating_range")
    @classmethod
    def _check_range(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and limits[0] >= limits[1]:
            raise ValueError("expected the lowest rating, then the highest")
        return limits


class RowBounds(Options):
    """Bounds of what a row may hold, which the schema of the data has."""

    rating_min: float
    rating_max: float
    timestamp_min: int
    timestamp_max: int


class IngestOptions(Options):
    """Options that the executor receives as JSON; `golden_set` is the path of its ratings."""

    edition: EditionName | Literal["auto"]
    window: int | None = None
    split: SplitOptions
    max_rejected_fraction: float
    bounds: RowBounds
    dialect: Dialect = Dialect()
    golden_set: str | None = None
