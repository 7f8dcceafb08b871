"""The pydantic bases of this repository: frozen records, and options that refuse unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen group of values, such as a result that is written as JSON and read back."""

    model_config = ConfigDict(frozen=True)


class Options(Record):
    """A frozen group of options that refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
