"""What can be chosen about reading and splitting ratings. Nothing heavy is imported here."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

EditionName = Literal["ml-100k", "csv"]

FOLDS = 5
_METHOD = re.compile(rf"hash|time|fold:[1-{FOLDS}]")


class SplitOptions(BaseModel):
    """How ratings are divided into train, eval and holdout.

    `hash` draws by a seeded hash of (user, movie), so a rating keeps its split when data is
    added; `time` holds out the newest ratings and evaluates on those just before them; `fold:i`
    holds out the i-th official fold of MovieLens-100K and draws eval from the rest by hash.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: str = Field("hash", description="hash, time, or fold:1 to fold:5")
    eval_fraction: float = Field(0.1, gt=0, lt=1)
    holdout_fraction: float = Field(0.1, gt=0, lt=1, description="not used by fold:i")
    seed: int = Field(42, ge=0, lt=2**63)

    @field_validator("method")
    @classmethod
    def _known_method(cls, method: str) -> str:
        if not _METHOD.fullmatch(method):
            raise ValueError(f"allowed: hash, time, fold:1 to fold:{FOLDS}")
        return method

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> SplitOptions:
        if self.eval_fraction + self.holdout_fraction >= 1:
            raise ValueError("eval_fraction + holdout_fraction must be below 1")
        return self

    @property
    def fold(self) -> int | None:
        """1 to 5 for an official fold, otherwise None."""
        return int(self.method.removeprefix("fold:")) if ":" in self.method else None


class IngestOptions(BaseModel):
    """What the executor is told, as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edition: EditionName
    split: SplitOptions
    max_rejected_fraction: float
