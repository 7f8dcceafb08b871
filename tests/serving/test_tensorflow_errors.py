import pytest

from serving.tensorflow_errors import reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no reason is given"),
        ("no such file", "no such file"),
        ("first\nsecond", "first"),
        ("Graph execution error:\n\n<stack traces unavailable>\nbad k\n\t [[{{node a}}]]", "bad k"),
        ("2 root error(s) found.\n  (0) INVALID_ARGUMENT: bad k\n  (1) OTHER: worse", "bad k"),
        ("{{function_node f}} bad k [Op:Assert] name: ", "bad k"),
        ("assertion failed: [at most 3, given] [4]\n\t [[{{node b}}]]", "at most 3, given [4]"),
        (
            "assertion failed: [ratings [of] which] [1]",
            "assertion failed: [ratings [of] which] [1]",
        ),
    ],
)
def test_the_line_that_says_what_is_wrong(text: str, expected: str) -> None:
    assert reason(text) == expected
