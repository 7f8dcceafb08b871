"""The policies that a backtest compares. This module imports neither TensorFlow nor TFX."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.config.errors import UserError

_POLICY = re.compile(r"(?P<start>fresh|warm)(/(?P<every>[1-9]\d*))?")


@dataclass(frozen=True)
class Policy:
    """When a model is trained anew, and from which weights.

    Attributes:
        warm: Whether a training starts from the last blessed model's weights.
        every: Weeks from one training to the next.
    """

    warm: bool
    every: int

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Returns the policy of a text such as `fresh` or `warm/4`.

        Raises:
            UserError: The text is no policy.
        """
        match = _POLICY.fullmatch(text)
        if match is None:
            raise UserError(
                f"--policy {text}: expected fresh or warm, for every fourth week fresh/4"
            )
        return cls(match["start"] == "warm", int(match["every"] or 1))

    def __str__(self) -> str:
        """Returns the text that `parse` reads."""
        return ("warm" if self.warm else "fresh") + ("" if self.every == 1 else f"/{self.every}")
