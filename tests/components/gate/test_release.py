"""What travels inside a pushed version, and its damages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

from components.errors import DataError
from components.gate import release
from components.gate.record import GateRecord
from components.movielens_example_gen.rating_sample import RatingSample


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = tmp_path / "7"
    (folder / "assets.extra").mkdir(parents=True)
    release.write_record(str(folder), GateRecord(rmse=0.9, ndcg=None))
    statistics = DatasetFeatureStatisticsList()
    statistics.datasets.add(num_examples=7).features.add().path.step.append("rating")
    release.write_statistics(str(folder), statistics)
    release.write_sample(
        str(folder),
        RatingSample(
            keys=np.sort(np.random.default_rng(0).random(999)),
            stars=np.ones(999, np.float32),
            times=np.arange(999),
            movies=np.arange(999, dtype=np.uint64),
            users=np.arange(999, dtype=np.uint64),
            spans=np.zeros(999, np.int64),
            oldest=0,
            newest=998,
            first_span=0,
        ),
    )
    return folder


FILES = {
    release.RECORD_FILE: release.read_record,
    release.STATISTICS_FILE: release.read_statistics,
    release.SAMPLE_FILE: release.read_sample,
}


@pytest.mark.parametrize("name", FILES)
def test_a_version_of_an_earlier_release_has_no_such_file(version: Path, name: str) -> None:
    assert FILES[name](str(version)) is not None
    (version / name).unlink()
    assert FILES[name](str(version)) is None


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def with_damaged_middle(content: bytes) -> bytes:
    start = len(content) // 2
    return content[:start] + b"\xff" * 8 + content[start + 8 :]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage", [half, with_damaged_middle, lambda _: b"", lambda _: b"\xff\xfe garbage"]
)
def test_a_damaged_file_is_one_line_with_a_remedy(
    version: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    path = version / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        FILES[name](str(version))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: damaged, ")
    assert f"move {version} away" in line


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module = tf.Module()
    module.table = tf.Variable(np.random.default_rng(0).random((500, 8)))
    folder = tmp_path_factory.mktemp("pushed") / "8"
    tf.saved_model.save(module, str(folder))
    return folder


VARIABLES = ("variables/variables.index", "variables/variables.data-00000-of-00001")
OF_NO_USE = (half, lambda _: b"", lambda _: b"\xff\xfe garbage")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in ("saved_model.pb", *VARIABLES) for damage in OF_NO_USE),
        # A graph has no checksum.
        *((name, with_damaged_middle) for name in VARIABLES),
    ],
)
def test_a_damaged_model_is_one_line_with_a_remedy(
    model: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    path = model / name
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    try:
        with pytest.raises(DataError) as caught:
            release.check_model(str(model))
    finally:
        path.write_bytes(whole)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}".partition(".data")[0].removesuffix(".index"))
    assert f"move {model} away" in line


def test_a_model_without_its_variables_is_damaged(model: Path) -> None:
    release.check_model(str(model))
    aside = (model / "variables").rename(model / "aside")
    with pytest.raises(DataError, match="variables: damaged, "):
        release.check_model(str(model))
    aside.rename(model / "variables")
