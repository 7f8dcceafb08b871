"""What a script printed, held against exact values to the precision printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# A whole number is compared as text is.
_DECIMAL = re.compile(r"-?\d+\.(\d+)")


@dataclass(frozen=True)
class Line:
    """A line: a format string and the values in its fields, computed in float64.

    Attributes:
        template: as for `str.format`.
        values: text, whole numbers, and floats that are printed with decimals.
        slack: how far float32 may be from a float beside the rounding, relative to it.
    """

    template: str
    values: tuple[object, ...] = ()
    slack: float = 1e-5

    def assert_is(self, printed: str) -> None:
        """Text, layout and number of decimals are equal, and each decimal is right as rounded."""
        expected = self.template.format(*self.values)
        assert _shape(printed) == _shape(expected), (printed, expected)
        floats = [value for value in self.values if isinstance(value, float)]
        for shown, exact in zip(_DECIMAL.finditer(printed), floats, strict=True):
            rounding = 0.5 * 10.0 ** -len(shown[1])
            assert abs(float(shown[0]) - exact) <= rounding + self.slack * abs(exact), (
                printed,
                expected,
            )


def line(template: str, *values: object, slack: float = 1e-5) -> Line:
    """A line with these values."""
    return Line(template, values, slack)


def assert_printed(printed: str, expected: Sequence[Line]) -> None:
    """All that was printed is these lines, in this order."""
    lines = printed.splitlines()
    assert len(lines) == len(expected), printed
    for shown, exact in zip(lines, expected, strict=True):
        exact.assert_is(shown)


def _shape(text: str) -> str:
    return _DECIMAL.sub(lambda number: f"#.{'#' * len(number[1])}", text)
