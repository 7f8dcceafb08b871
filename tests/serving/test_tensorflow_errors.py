from __future__ import annotations

import grpc
import pytest
import tensorflow as tf

from serving.tensorflow_errors import reason, request_error


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
    assert reason(text) == expected


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (tf.errors.InvalidArgumentError, grpc.StatusCode.INVALID_ARGUMENT),
        (tf.errors.ResourceExhaustedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (tf.errors.InternalError, grpc.StatusCode.INTERNAL),
    ],
)
def test_the_code_is_tensorflows(error: type[tf.errors.OpError], code: grpc.StatusCode) -> None:
    assert request_error(error(None, None, "why")).code == code
