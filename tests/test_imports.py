"""Entry points of other processes, such as a cluster's, which set no variables for us."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    ["pipeline.graph", "pipeline.metadata", "components.rating_baselines.component",
     "components.movielens_example_gen.executor", "models.trainer"],
)  # fmt: skip
def test_each_can_be_imported_first(module: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    subprocess.run([sys.executable, "-c", f"import {module}"], env=environment, check=True)
