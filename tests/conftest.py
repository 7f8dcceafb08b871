"""Data that tests are made from: small, built here, never taken from the code under test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# Before anything imports TensorFlow.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from xdist.scheduler import LoadScopeScheduling

# Under nohup and in the background they are ignored, also by the processes that tests start and end
# with them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# All that ask for the fixture `first_run`, or `story`, which goes on with it.
STORY_FILES = {
    f"tests/e2e/test_{name}.py"
    for name in ("bad_data", "commands", "report", "serving", "signatures", "story")
}
# Whose tests start most of the processes that `tests.forked` forks: one process has the imports.
FORKING_FOLDERS = ("tests/models/training/", "tests/movierec/cli/")

RATINGS_HEADER = "userId,movieId,rating,timestamp"
MOVIES = (
    "movieId,title,genres\n"
    '1,"Heat (1995)",Action|Crime\n'
    '2,"Girl, Interrupted (1999)",Drama\n'
    "3,Nobody Knows (2000),(no genres listed)\n"
)


@pytest.fixture
def csv_folder(tmp_path: Path) -> Path:
    """A sound folder of two CSV files."""
    (tmp_path / "movies.csv").write_text(MOVIES, encoding="utf-8")
    (tmp_path / "ratings.csv").write_text(
        f"{RATINGS_HEADER}\n7,1,4.5,100\n7,2,3,101\n8,1,0.5,102\n8,9,5,103\n", encoding="utf-8"
    )
    return tmp_path


@pytest.fixture(scope="session")
def exported_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the folder of a small exported model by its name; copy it before you change it."""
    # TensorFlow, which not every test needs.
    from tests.models.export.exported_models import exported  # noqa: PLC0415

    base = tmp_path_factory.getbasetemp()
    # Each process of pytest-xdist has a folder in one of them all.
    together = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return partial(exported, together / "exported")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_240)


class _FilesTogether(LoadScopeScheduling):
    """Gives the tests of a file to one process, for what they share, and so those of the story.

    What has the most tests is started first. Files of few tests that take long are among many.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file in STORY_FILES:
            return "story"
        return "forking" if file.startswith(FORKING_FOLDERS) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Telling the story takes minutes: once is enough."""
    return _FilesTogether(config, log)
