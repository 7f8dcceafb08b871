"""The executor where the artifact is no folder of this machine."""

import math
from pathlib import Path

import pytest
import tensorflow as tf

from components.movielens_example_gen import executor, rating_sample, report
from components.movielens_example_gen.options import IngestOptions, SplitOptions
from models import features
from pipeline import row_bounds
from tests.components.example_gen_steps import run_step


def test_all_of_it_goes_through_the_storage_of_the_artifact(
    csv_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "ROWS_PER_SHARD", 50)
    with (csv_folder / "ratings.csv").open("a") as file:
        file.writelines(f"{user},1,4,{user}\n" for user in range(100, 296))
    # TensorFlow's storage in memory: a path that slips into the file system fails.
    output = "ram://examples"
    options = IngestOptions(
        edition="csv", split=SplitOptions(), max_rejected_fraction=1.0, bounds=row_bounds.read()
    )
    counted = run_step(csv_folder, options, output)
    splits = {f"Split-{name}" for name in features.SPLITS}
    found = {name.strip("/") for name in tf.io.gfile.listdir(output)}
    assert found == {
        *splits,
        report.REPORT_FILE,
        report.REJECTED_FILE,
        rating_sample.SAMPLE_FILE,
    }
    assert len(rating_sample.read(output).keys) == 200
    for name in features.SPLITS:
        files = tf.io.gfile.glob(f"{output}/Split-{name}/*")
        assert len(files) == math.ceil(counted.splits[name] / 50)
        records = list(tf.data.TFRecordDataset(sorted(files), compression_type="GZIP"))
        assert len(records) == counted.splits[name]
    assert sum(counted.splits.values()) == 200
