import re
import runpy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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


def test_the_index_of_neighbours_finds_the_exact_lists(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    """usearch is in no lock: it is installed apart, for this test too."""
    pytest.importorskip("usearch")
    # As many movies as MovieLens-100K has, and offsets as popularity gives them.
    movies, users, dimension = 1_648, 1_000, 100
    offsets = 1.1 * np.log1p(400 / (1 + np.arange(movies) / 30))
    for kind, count, last in (("movie", movies, offsets), ("user", users, np.ones(users))):
        folder = tmp_path / f"{kind}s"
        folder.mkdir()
        vectors = rng.normal(0, 0.2, (count, dimension)).astype(np.float32)
        columns = {
            f"{kind}_id": [str(place) for place in range(count)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension),
            "offset" if kind == "movie" else "factor": last.astype(np.float32),
        }
        pq.write_table(pa.table(columns), folder / "part-00000.parquet")
    runpy.run_path(str(ROOT / "examples" / "ann_index.py"))["main"](tmp_path)
    (recall,) = re.findall(r"recall@10 .*: ([\d.]+)", capsys.readouterr().out)
    assert float(recall) > 0.999
