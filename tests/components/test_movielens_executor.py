"""The executor where the artifact is no folder of this machine."""

import json
import math
from pathlib import Path

import pytest
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts, standard_component_specs

from components.movielens_example_gen import executor, report
from components.movielens_example_gen.options import IngestOptions, SplitOptions
from models import features
from pipeline import row_bounds
from pipeline.config.beam import EXAMPLE_GEN, BeamConfig


def test_all_of_it_goes_through_the_storage_of_the_artifact(
    csv_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "ROWS_PER_SHARD", 50)
    with (csv_folder / "ratings.csv").open("a") as file:
        file.writelines(f"{user},1,4,{user}\n" for user in range(100, 296))
    # TensorFlow's storage in memory: a path that slips into the file system fails.
    examples = standard_artifacts.Examples()
    examples.uri = "ram://examples"
    options = IngestOptions(
        edition="csv", split=SplitOptions(), max_rejected_fraction=1.0, bounds=row_bounds.read()
    )
    ingest = json.dumps({"ingest": options.model_dump(mode="json")})
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BeamConfig().arguments_for(EXAMPLE_GEN, None),
        tmp_dir=str(tmp_path / "unused"),
        unique_id="1",
    )
    executor.Executor(context).Do(
        {},
        {standard_component_specs.EXAMPLES_KEY: [examples]},
        {
            standard_component_specs.INPUT_BASE_KEY: str(csv_folder),
            standard_component_specs.CUSTOM_CONFIG_KEY: ingest,
        },
    )
    splits = {f"Split-{name}" for name in features.SPLITS}
    found = {name.strip("/") for name in tf.io.gfile.listdir(examples.uri)}
    assert found == {*splits, report.REPORT_FILE, report.REJECTED_FILE}
    counted = report.read(examples.uri)
    for name in features.SPLITS:
        files = tf.io.gfile.glob(f"{examples.uri}/Split-{name}/*")
        assert len(files) == math.ceil(counted.splits[name] / 50)
        records = list(tf.data.TFRecordDataset(sorted(files), compression_type="GZIP"))
        assert len(records) == counted.splits[name]
    assert sum(counted.splits.values()) == 200
    assert not (tmp_path / "unused").exists()
