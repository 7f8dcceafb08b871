"""The work of StrictExampleValidator."""

from __future__ import annotations

import os
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import executor
from tfx.dsl.io import fileio
from tfx.proto.orchestration import execution_result_pb2
from tfx.types import artifact_utils, standard_component_specs

from components.errors import DataError

_HEADER = ("split", "feature", "anomaly", "detail")


class Executor(executor.Executor):
    """Validates as TFX does, then fails if anything was found."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> execution_result_pb2.ExecutorOutput:
        """Runs the step.

        Raises:
            DataError: the statistics of a split break the schema; the message has a line for
                each anomaly.
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
                f"the data breaks the schema in {len(rows)} places:\n{_table([_HEADER, *rows])}"
            )
        return result


def _anomalies(split: str, folder: str) -> list[tuple[str, str, str, str]]:
    found = anomalies_pb2.Anomalies()
    with fileio.open(os.path.join(folder, executor.DEFAULT_FILE_NAME), "rb") as file:
        found.ParseFromString(file.read())
    rows = [
        (split, feature, info.short_description, info.description)
        for feature, info in sorted(found.anomaly_info.items())
    ]
    if found.HasField("dataset_anomaly_info"):
        info = found.dataset_anomaly_info
        rows.append((split, "(all)", info.short_description, info.description))
    return rows


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
