import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.fixture(scope="session")
def broken():
    raise RuntimeError("out of luck")

@pytest.fixture(scope="module")
def built_on_it(broken):
    return broken

def test_first(broken): pass
def test_second(broken): pass
def test_third(built_on_it): pass
def test_apart(): pass
"""


@pytest.mark.parametrize(("chosen", "outcomes"), [("test", (1, 2, 1)), ("third", (1, 0, 0))])
def test_a_shared_fixture_that_fails_is_one_error(
    chosen: str, outcomes: tuple[int, int, int], tmp_path: Path
) -> None:
    (tmp_path / "test_shared.py").write_text(TESTS, encoding="utf-8")
    options = ["-p", "tests.e2e.failing_once", "-p", "no:cacheprovider", "-rs", "-k", chosen]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert result.returncode == 1
    summary = result.stdout.splitlines()[-1]
    for count, outcome in zip(outcomes, ("error", "skipped", "passed"), strict=True):
        assert (f"{count} {outcome}" in summary) == bool(count), summary
    assert "out of luck" in result.stdout
