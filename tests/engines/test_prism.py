"""Steps with Beam's work on Prism, a runner in another process, beside the same in this process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv
import pytest
import tensorflow as tf
from tfx.components.statistics_gen import executor as statistics_executor
from tfx.types import standard_artifacts

from components.transform.executor import Executor as TransformExecutor
from models import features
from pipeline.config.beam import BeamConfig
from pipeline.config.tree import load_config
from pipeline.ingest_options import ingest_options
from serving.ports import free_port
from tests.components import example_gen_steps, test_statistics_gen
from tests.components.test_statistics_gen import figures, near, statistics, written_by
from tests.components.transform import test_executor
from tests.components.transform.test_executor import files_of_graph, records, transformed_by

# `make prism` builds it beside the programs of the tests of Kubernetes.
_ASSETS: Final = os.environ.get("KUBEBUILDER_ASSETS", "")
PRISM: Final = shutil.which("prism", path=f"{_ASSETS}{os.pathsep}{os.environ['PATH']}")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PRISM is None, reason="prism is neither in KUBEBUILDER_ASSETS nor on the PATH: make prism"
    ),
]
SECONDS_TO_START: Final = 60
ROWS: Final = 1_000

statistics_examples = test_statistics_gen.examples
transform_examples = test_executor.examples


@pytest.fixture(scope="module")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BeamConfig]:
    """A Prism of this module, which starts its workers in the process of the step."""
    port = free_port("127.0.0.1")
    log = tmp_path_factory.mktemp("prism") / "log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [str(PRISM), f"--job_port={port}", "--serve_http=false"], stdout=out, stderr=out
        )
        try:
            end = time.monotonic() + SECONDS_TO_START
            while not listens(port):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield BeamConfig(runner="portable", job_endpoint=f"localhost:{port}")
        finally:
            server.kill()
            server.wait()
    # Whatever the steps wrote, it was Prism that had them do so.
    assert "pipeline done" in log.read_text()


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def examples_in(file: Path) -> list[bytes]:
    """The examples of a file in their order, with the features of each in one order."""
    return [
        tf.train.Example.FromString(record).SerializeToString(deterministic=True)
        for record in tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator()
    ]


def test_examples_are_those_of_this_process(prism: BeamConfig, tmp_path: Path) -> None:
    source = tmp_path / "ratings"
    source.mkdir()
    columns = {
        "userId": [row % 50 for row in range(ROWS)],
        "movieId": [row // 50 for row in range(ROWS)],
        "rating": [row % 10 / 2 + 0.5 for row in range(ROWS)],
        "timestamp": [1_000_000_000 + row for row in range(ROWS)],
    }
    pa.csv.write_csv(pa.table(columns), source / "ratings.csv")
    movies = "".join(f"{movie},Movie {movie},Drama\n" for movie in range(ROWS // 50))
    (source / "movies.csv").write_text(f"movieId,title,genres\n{movies}")
    options = ingest_options(load_config(None, ["data.dataset=csv", f"data.path={source}"]))
    here, there = tmp_path / "here", tmp_path / "there"
    report = example_gen_steps.run_step(source, options, here)
    assert example_gen_steps.run_step(source, options, there, beam=prism) == report
    files = sorted(path.relative_to(here) for path in here.rglob("*.gz"))
    assert files == sorted(path.relative_to(there) for path in there.rglob("*.gz"))
    assert {path.parent.name.removeprefix("Split-") for path in files} >= set(features.SPLITS)
    for file in files:
        assert examples_in(there / file) == examples_in(here / file)


def test_statistics_are_those_of_this_process(
    prism: BeamConfig, statistics_examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    kind = statistics_executor.Executor
    here = figures(statistics(written_by(kind, statistics_examples, tmp_path / "here"), "train"))
    there = figures(
        statistics(written_by(kind, statistics_examples, tmp_path / "there", prism), "train")
    )
    assert here["/rows"] == test_statistics_gen.ROWS
    assert there.keys() == here.keys()
    assert {p: (there[p], v) for p, v in here.items() if there[p] != near(p, v)} == {}


def test_graph_and_transformed_examples_are_those_of_this_process(
    prism: BeamConfig, transform_examples: standard_artifacts.Examples, tmp_path: Path
) -> None:
    here = transformed_by(TransformExecutor, transform_examples, tmp_path / "here")
    there = transformed_by(TransformExecutor, transform_examples, tmp_path / "there", beam=prism)
    # The vocabularies among them.
    assert files_of_graph(there) == files_of_graph(here)
    for split in features.SPLITS:
        assert records(there, split) == records(here, split)
