"""Options of reading and splitting ratings. This module imports neither TensorFlow nor TFX."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from models.records import Options

EditionName = Literal["ml-100k", "csv"]

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


class IngestOptions(Options):
    """Options that the executor receives as JSON."""

    edition: EditionName
    split: SplitOptions
    max_rejected_fraction: float
