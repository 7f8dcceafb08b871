from pathlib import Path

import pytest

from pipeline.config.tree import load_config

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_loads_and_names_no_file_of_its_own(path: Path) -> None:
    config = load_config(path)
    assert config != load_config() or path.stem == "weekly"
    assert config.data.path is None
    assert config.serving.binary is None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_how_to_run_it(path: Path) -> None:
    assert f"--config examples/{path.name}" in path.read_text(encoding="utf-8")


def test_the_readme_lists_every_example() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES if f"(examples/{path.name})" not in text] == []


def test_an_example_sets_what_its_name_promises() -> None:
    examples = {path.stem: load_config(path) for path in EXAMPLES}
    assert examples["weekly"].split.method == "hash"
    assert examples["your_own_ratings"].data.dataset == "csv"
    assert not examples["retrieval"].model.predicts_ratings
    assert examples["gpu_kfp"].training.accelerator
    assert examples["gpu_vertex"].training.accelerator
