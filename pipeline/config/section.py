"""The base of every section of the configuration."""

from __future__ import annotations

from pydantic import ConfigDict

from models.records import Options


class Section(Options):
    """A frozen group of keys; a number is accepted where text is expected."""

    model_config = ConfigDict(coerce_numbers_to_str=True)
