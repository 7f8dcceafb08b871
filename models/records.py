"""The pydantic bases of this repository: frozen records, and options that refuse unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Record(BaseModel):
    """A frozen group of values, such as a result that is written as JSON and read back."""

    model_config = ConfigDict(frozen=True)


class Options(Record):
    """A frozen group of options that refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses true and false where a number is expected; pydantic reads them as 1 and 0."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        is_group = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        takes_truth = bool in (annotation, *get_args(annotation))
        if not is_group and not takes_truth and _has_truth_value(value):
            raise ValueError("true and false are no values of this key")
        return value


def _has_truth_value(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_truth_value, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_truth_value, value))
    return isinstance(value, bool)
