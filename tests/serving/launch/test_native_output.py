import os
import sys

import pytest

from serving.launch.launcher import native_output_silenced


def test_python_is_heard_and_the_rest_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with native_output_silenced():
        os.write(2, b"C++\n")
        print("Python", file=sys.stderr)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "Python\nafter\n"


def test_what_is_raised_puts_it_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    with pytest.raises(KeyError), native_output_silenced():
        raise KeyError
    os.write(2, b"after\n")
    assert sys.stderr is before
    assert capfd.readouterr().err == "after\n"
