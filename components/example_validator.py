"""StrictExampleValidator: checks statistics against the schema; anomalies stop the run."""

from __future__ import annotations

import os

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator import executor
from tfx.components.example_validator.component import ExampleValidator
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto.orchestration import execution_result_pb2
from tfx.types import artifact_utils, standard_component_specs

from components.errors import DataError
from components.step_types import Artifacts, Properties

_HEADER = ("split", "feature", "anomaly", "detail")


class Executor(executor.Executor):
    """Validates as TFX does, then fails if there are anomalies."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> execution_result_pb2.ExecutorOutput:
        """Runs the step.

        Raises:
            DataError: The statistics of a split break the schema. The message has a line for each
                anomaly.
        """
        result = super().Do(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.ANOMALIES_KEY]
        )
        rows = [
            row
            for split in artifact_utils.decode_split_names(artifact.split_names)
            for row in _anomalies(split, artifact_utils.get_split_uri([artifact], split))
        ]
        if rows:
            raise DataError(
                f"the data breaks the schema in {len(rows)} places:", _table([_HEADER, *rows])
            )
        return result


class StrictExampleValidator(ExampleValidator):
    """TFX's ExampleValidator, but an anomaly fails the step; TFX's own lets the run go on."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def _anomalies(split: str, folder: str) -> list[tuple[str, str, str, str]]:
    anomalies = anomalies_pb2.Anomalies()
    with fileio.open(os.path.join(folder, executor.DEFAULT_FILE_NAME), "rb") as file:
        anomalies.ParseFromString(file.read())
    rows = [
        (split, feature, info.short_description, info.description)
        for feature, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        info = anomalies.dataset_anomaly_info
        rows.append((split, "(all)", info.short_description, info.description))
    return rows


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
