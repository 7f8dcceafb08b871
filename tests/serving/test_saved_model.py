from __future__ import annotations

import pytest

from serving.saved_model import error_reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no reason is given"),
        ("assertion failed: [at most 3, given] [4]\n\t [[{{node b}}]]", "at most 3, given [4]"),
        (
            "assertion failed: [ratings [of] which] [1]",
            "assertion failed: [ratings [of] which] [1]",
        ),
        (
            "Graph execution error:\n\nDetected at node a/Assert defined at (most recent call "
            "last):\n<stack traces unavailable>\nk: expected 1\n\t [[{{node a/Assert}}]] [Op:f]",
            "k: expected 1",
        ),
        (
            "{{function_node __wrapped__F}} corrupted record at 0 [Op:F] name: ",
            "corrupted record at 0",
        ),
        (
            "2 root error(s) found.\n  (0) INVALID_ARGUMENT:  too many\n\t [[{{node a}}]]\n"
            "  (1) INVALID_ARGUMENT:  too many\n0 successful operations.",
            "too many",
        ),
        ("no such file", "no such file"),
        ("\n", "no reason is given"),
    ],
)
def test_the_line_that_says_what_is_wrong(text: str, expected: str) -> None:
    assert error_reason(text) == expected
