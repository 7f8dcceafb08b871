"""The package is copied, one file of the copy is edited, and digests are taken in a process
that imports the copy."""

import ast
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline import code_fingerprint
from pipeline.code_fingerprint import fingerprint, names_in

ROOT = Path(__file__).parents[2]
STEPS = (
    "components.movielens_example_gen.executor",
    "models.preprocessing",
    "models.training.trainer",
    "models.zoo.svdpp.SVDPlusPlus",
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("movierec", "pipeline", "components", "models", "serving"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    return tmp_path


def digests(folder: Path) -> list[str]:
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        f"from pipeline.code_fingerprint import fingerprint\n"
        f"[print(fingerprint(name)) for name in {STEPS}]"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    return result.stdout.split()


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("models/layers/featured_table.py", [False, False, False, True]),
        ("models/training/optimizers.py", [False, False, True, False]),
        ("models/preprocessing.py", [False, True, False, False]),
        ("components/movielens_example_gen/readers/csv_folder.py", [True, False, False, False]),
        ("models/features.py", [True, True, True, True]),
        ("movierec/cli/tables.py", [False, False, False, False]),
    ],
)
def test_an_edit_changes_the_steps_that_run_it_and_no_other(
    copy: Path, edited: str, changed: list[bool]
) -> None:
    before = digests(copy)
    with (copy / edited).open("a") as file:
        file.write("\n_EDITED = True\n")
    after = digests(copy)
    assert [one != two for one, two in zip(before, after, strict=True)] == changed


def test_what_is_in_a_module_stands_for_the_module() -> None:
    assert fingerprint("models.preprocessing.preprocessing_fn") == fingerprint(
        "models.preprocessing"
    )
    both = fingerprint("models.preprocessing", "models.training.trainer")
    assert both == fingerprint("models.training.trainer", "models.preprocessing")
    assert both not in {fingerprint("models.preprocessing"), fingerprint("models.training.trainer")}


def test_names_of_our_code_are_found_in_texts() -> None:
    texts = [
        "--executor_class_path=components.x.executor.Executor",
        '{"module": "pipeline.metrics", "other": "models.a and models.b2._c"}',
        "tfx.components.trainer.executor.GenericExecutor models our_models.a models.",
        "gs://bucket/models.v1 /home/serving.d/a movie-models.a",
    ]
    assert names_in(texts) == [
        "components.x.executor.Executor",
        "models.a",
        "models.b2._c",
        "pipeline.metrics",
    ]


def test_threads_make_one_tree_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = ast.parse
    under_way: list[bytes] = []
    at_once: list[int] = []

    def slowly(source: bytes) -> Any:
        under_way.append(source)
        time.sleep(0.01)
        at_once.append(len(under_way))
        under_way.remove(source)
        return parse(source)

    code_fingerprint._imports.cache_clear()
    monkeypatch.setattr(ast, "parse", slowly)
    with ThreadPoolExecutor(2) as threads:
        digests = list(threads.map(fingerprint, ["models.features", "models.contracts"]))
    assert set(at_once) == {1}
    assert digests == [fingerprint("models.features"), fingerprint("models.contracts")]
