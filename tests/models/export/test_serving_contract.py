"""What an exported model promises a model server: no files, no crash, the same speed for all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.export.sample_requests import inputs_for
from models.registry import MODELS
from tests.models.export.exported_models import COUNTS, USER_IDS, export, recommender_of, requests
from tests.models.factories import trained_like


def bytes_read() -> int:
    """Bytes that this process has read from files, pipes and sockets."""
    fields = Path("/proc/self/io").read_text(encoding="ascii").split()
    # Reading the counter itself counts from the next time on.
    return int(fields[fields.index("rchar:") + 1])


def counter_size() -> int:
    return len(Path("/proc/self/io").read_bytes())


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_reads_no_file(rng: np.random.Generator, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    names = export(name, rng, folder)
    loaded = tf.saved_model.load(str(folder))
    before = {signature: loaded.signatures[signature](**requests(signature)) for signature in names}
    shutil.rmtree(folder)
    for signature in names:
        start = bytes_read()
        found = loaded.signatures[signature](**requests(signature))
        assert bytes_read() - start <= counter_size() + 1
        for key, value in before[signature].items():
            np.testing.assert_array_equal(found[key], value)
    assert len(names) >= 6


@pytest.mark.parametrize("name", ["biased_mf", "multitask"])
def test_no_table_is_copied_at_each_read_once_a_row_was_gathered(
    rng: np.random.Generator, tmp_path: Path, name: str
) -> None:
    """Gathering from a variable itself marks it to be copied whenever it is read."""
    names = export(name, rng, tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    operations = set()
    for signature in names:
        graph = loaded.signatures[signature].graph.as_graph_def()
        operations |= {node.op for node in graph.node}
        operations |= {node.op for function in graph.library.function for node in function.node_def}
    assert "ReadVariableOp" in operations
    assert not operations & {"ResourceGather", "ResourceGatherNd"}


def test_activity_is_the_slice_of_the_number_of_ratings_in_train(
    rng: np.random.Generator,
) -> None:
    recommender = recommender_of("biased_mf", trained_like("biased_mf", rng))
    users = [name.encode() for name in [*USER_IDS, "nobody"]]
    examples = inputs_for("transform_features", users, [b"m1"] * len(users))["examples"]
    found = recommender.signatures["transform_features"](examples=tf.constant(examples))
    expected = {20: "1-20", 21: "21-50", 50: "21-50", 51: "51-100", 200: "101-200", 201: "201+"}
    assert found["user_activity"].numpy().astype(str).tolist() == [
        *(expected[count] for count in COUNTS),
        "0",
    ]


@pytest.mark.parametrize("name", ["biased_mf", "two_tower"])
def test_a_tensor_of_any_rank_and_dtype_is_refused_and_aborts_nothing(
    rng: np.random.Generator, tmp_path: Path, name: str
) -> None:
    """TensorFlow Serving checks neither rank nor shape before it runs the graph.

    A process of its own is asked, since an abort would end it.
    """
    names = export(name, rng, tmp_path / "model")
    command = [sys.executable, "-m", "tests.models.export.exported_models", str(tmp_path / "model")]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        cwd=Path(__file__).parents[3],
    )
    assert result.returncode == 0, result.stderr[-2000:]
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row[0] for row in rows} == set(names)
    ranks = {"examples": 1, "user_id": 1, "k": 0, "exclude": 2, "rating": 2}
    ranks |= {"among_movies": 2, "among_genres": 2}
    for signature, key, right_dtype, shape, outcome in rows:
        lists = signature.endswith("_for_ratings")
        rank = 2 if key == "movie_id" and lists else ranks.get(key, 1)
        if len(shape) != rank or not right_dtype:
            assert outcome == "InvalidArgumentError", (signature, key, shape)
        else:
            assert outcome in {"OK", "InvalidArgumentError"}, (signature, key, shape)
