"""Which folder imports what; and entry points of other processes, such as a cluster's."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# By folder, the packages and modules of the others that it may import.
ALLOWED = {
    "models": set(),
    "serving": {
        "models.export.training_population",
        "models.export.warm_up",
        "models.features",
        "models.signature_names",
    },
    "components": {
        "models.beyond_accuracy",
        "models.columns",
        "models.export.saved_model",
        "models.features",
        "models.ranking",
        "models.records",
        "models.export.reference_predictions",
        "models.export.sample_requests",
        "models.signature_names",
        "serving",
    },
    "pipeline": {"components", "models", "serving"},
    "movierec": {"components", "kubeflow", "models", "pipeline", "serving"},
    "kubeflow": {"components.data_fingerprint", "pipeline", "serving"},
    "benchmarks": {"components", "models", "pipeline", "serving"},
}
ORCHESTRATION = {"apache_beam", "kfp", "kubernetes", "ml_metadata", "tfx"}


def imports(folder: str) -> Iterator[tuple[str, str]]:
    """Where something is imported, inside functions too, and its dotted name."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}:{node.lineno}: a relative import"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            yield from ((place, name) for name in names)


def is_of(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


@pytest.mark.parametrize("folder", ALLOWED)
def test_a_folder_imports_what_it_may_and_no_more(folder: str) -> None:
    others = set(ALLOWED) - {folder}
    found = [(place, name) for place, name in imports(folder) if name.partition(".")[0] in others]
    allowed = ALLOWED[folder]
    assert [entry for entry in found if not any(is_of(entry[1], one) for one in allowed)] == []
    assert [one for one in allowed if not any(is_of(name, one) for _, name in found)] == []


@pytest.mark.parametrize("folder", ["models", "serving"])
def test_models_and_their_servers_need_no_orchestrator(folder: str) -> None:
    found = list(imports(folder))
    assert found
    assert [entry for entry in found if entry[1].partition(".")[0] in ORCHESTRATION] == []


def test_the_documentation_says_the_same() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \|([^|]*)\|$", text, re.MULTILINE)
    assert {folder: set(re.findall(r"`([\w.]+)`", named)) for folder, named in rows} == ALLOWED


@pytest.mark.parametrize(
    "module",
    [
        "pipeline.graph",
        "models.training.trainer",
        *(
            pytest.param(module, marks=pytest.mark.slow)
            for module in (
                "pipeline.metadata",
                "components.rating_baselines",
                "components.movielens_example_gen.executor",
            )
        ),
    ],
)
def test_each_can_be_imported_first(module: str) -> None:
    """Nobody has set variables for such a process."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    subprocess.run([sys.executable, "-c", f"import {module}"], env=environment, check=True)
