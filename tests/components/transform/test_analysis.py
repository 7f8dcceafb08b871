"""Analyzers without Beam, on small data, against NumPy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.tf_metadata import schema_utils

from components import record_batches
from components.transform import analysis
from components.transform.analysis import Analysis, UnsupportedAnalyzerError

SCHEMA = schema_utils.schema_from_feature_spec(
    {
        "number": tf.io.FixedLenFeature([], tf.float32),
        "whole": tf.io.FixedLenFeature([], tf.int64),
        "words": tf.io.VarLenFeature(tf.string),
    }
)
# Quantiles are estimates: this share of the rows may lie on the other side.
EPSILON = 0.01

Inputs = dict[str, Any]


def example(number: float, words: list[bytes]) -> bytes:
    made = {
        "number": tf.train.Feature(float_list=tf.train.FloatList(value=[number])),
        "whole": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(number)])),
        "words": tf.train.Feature(bytes_list=tf.train.BytesList(value=words)),
    }
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def written(path: Path, numbers: np.ndarray, words: list[list[bytes]]) -> str:
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for number, of_row in zip(numbers, words, strict=True):
            writer.write(example(number, of_row))
    return str(path)


def output_of(analysis: Analysis, folder: Path) -> tft.TFTransformOutput:
    analysis.write(str(folder))
    return tft.TFTransformOutput(str(folder))


def many_analyzers(inputs: Inputs) -> Inputs:
    number = inputs["number"]
    tft.vocabulary(inputs["words"], frequency_threshold=1000, vocab_filename="none_is_frequent")
    tft.vocabulary(inputs["words"], vocab_filename="all", store_frequency=True)
    index = tft.compute_and_apply_vocabulary(inputs["words"], top_k=3, vocab_filename="three")
    figures = {
        "mean": tft.mean(number),
        "variance": tft.var(number),
        "least": tft.min(number),
        "most": tft.max(number),
        "sum": tf.cast(tft.sum(inputs["whole"]), tf.float32),
        "quartiles": tft.quantiles(number, 4, EPSILON),
    }
    rows = tf.shape(number)[:1]
    return {"index": index} | {
        name: tf.tile([figure], tf.concat([rows, tf.ones_like(tf.shape(figure))], axis=0))
        for name, figure in figures.items()
    }


def test_analyzers_see_all_batches(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Many batches, whose counts are added up many times.
    monkeypatch.setattr(record_batches, "ROWS_AT_ONCE", 64)
    monkeypatch.setattr(analysis, "_WAITING_COUNTS", 20)
    numbers = rng.uniform(-100, 100, 2_000).astype(np.float32)
    known = [f"word {n}".encode() for n in range(30)] + ["слово".encode(), b"\xff"]
    words = [list(rng.choice(known, rng.integers(4))) for _ in numbers]
    files = [
        written(tmp_path / f"{start}.gz", numbers[start::2], words[start::2]) for start in (0, 1)
    ]
    made = Analysis(many_analyzers, SCHEMA, str(tmp_path / "temporary"))
    made.add(files)
    output = output_of(made, tmp_path / "graph")

    counts = Counter(word for of_row in words for word in of_row)
    expected = sorted(counts, key=lambda word: (counts[word], word), reverse=True)
    lines = [b"%d %s" % (counts[word], word) for word in expected]
    assert output.vocabulary_by_name("all") == lines
    assert output.vocabulary_by_name("three") == expected[:3]
    # TensorFlow Transform's own line, which stands for an empty vocabulary.
    assert output.vocabulary_by_name("none_is_frequent") == [
        b"49d0cd50-04bb-48c0-bc6f-5b575dce351a"
    ]
    found = output.transform_features_layer()(
        {
            "number": tf.constant([1.0]),
            "whole": tf.constant([1], tf.int64),
            "words": tf.sparse.from_dense([[expected[2], b"none"]]),
        }
    )
    assert tf.sparse.to_dense(found["index"]).numpy().tolist() == [[2, -1]]
    exact = numbers.astype(np.float64)
    for name, figure in {
        "mean": exact.mean(), "variance": exact.var(), "least": exact.min(), "most": exact.max(),
        "sum": exact.astype(np.int64).sum(),
    }.items():  # fmt: skip
        np.testing.assert_allclose(found[name], [figure], rtol=1e-5, err_msg=name)
    ranks = np.searchsorted(np.sort(numbers), found["quartiles"].numpy().ravel()) / len(numbers)
    np.testing.assert_allclose(ranks, [0.25, 0.5, 0.75], atol=EPSILON)


def test_a_function_without_analyzers_needs_no_examples(tmp_path: Path) -> None:
    made = Analysis(lambda inputs: {"double": inputs["number"] * 2}, SCHEMA, str(tmp_path / "t"))
    made.add([str(tmp_path / "no such file")])
    layer = output_of(made, tmp_path / "graph").transform_features_layer()
    assert layer({"number": tf.constant([1.5])})["double"].numpy().tolist() == [3.0]


def weighted(inputs: Inputs) -> Inputs:
    words = tf.sparse.to_dense(inputs["words"])[:, 0]
    tft.vocabulary(words, weights=inputs["number"], vocab_filename="weighted")
    return {"number": inputs["number"]}


def of_whole_numbers(inputs: Inputs) -> Inputs:
    return {"index": tft.compute_and_apply_vocabulary(inputs["whole"])}


def shuffled(inputs: Inputs) -> Inputs:
    return {"index": tft.compute_and_apply_vocabulary(inputs["words"], fingerprint_shuffle=True)}


def compressed(inputs: Inputs) -> Inputs:
    return {"index": tft.compute_and_apply_vocabulary(inputs["words"], file_format="tfrecord_gzip")}


def by_key(inputs: Inputs) -> Inputs:
    key = tf.strings.as_string(inputs["whole"])
    return {"scaled": tft.scale_to_z_score_per_key(inputs["number"], key)}


def in_two_phases(inputs: Inputs) -> Inputs:
    above = inputs["number"] - tft.min(inputs["number"])
    return {"scaled": above / tft.max(above)}


def of_a_table(inputs: Inputs) -> Inputs:
    with tf.init_scope():
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant([1, 2], tf.int64), [1.0, 2.0]), 0.0
        )
    return {"number": inputs["number"] - tft.mean(table.lookup(inputs["whole"]))}


@pytest.mark.parametrize(
    ("preprocessing_fn", "reason"),
    [
        (weighted, "VocabularyAccumulate"),
        (of_whole_numbers, "VocabularyAccumulate"),
        (shuffled, "VocabularyOrderAndWrite"),
        (compressed, "VocabularyOrderAndWrite"),
        (by_key, "PerKey"),
        (in_two_phases, "depends on another one"),
        (of_a_table, "depends on"),
    ],
)
def test_what_only_beam_computes_is_refused_before_examples_are_read(
    preprocessing_fn: Callable[[Inputs], Inputs], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedAnalyzerError, match=reason):
        Analysis(preprocessing_fn, SCHEMA, str(tmp_path))
