"""The work of ServingValidator."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils

from components.serving_validator import blessing, holdout, report
from components.serving_validator.candidate import connected
from components.serving_validator.catalogue import movie_ids
from components.serving_validator.examination import ROWS, Findings, examine
from models.export import reference_predictions
from serving.errors import ServingError
from serving.launch.candidate_server import candidate_server

MODEL_NAME_KEY = "model_name"
STARTUP_SECONDS_KEY = "startup_seconds"
MAX_DIFFERENCE_KEY = "max_difference"
BINARY_KEY = "binary"


class Executor(base_executor.BaseExecutor):
    """Starts a model server on the candidate and asks every signature about the holdout."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Blesses the model, or does not and says why in the report; neither fails the step.

        Raises:
            ServingError: the binary cannot be run.
        """
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        artifact = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.BLESSING_KEY]
        )
        found = _judge(model, input_dict, exec_properties)
        verdict = "blessed" if found.blessed else "not blessed"
        logging.info("%s by the model server (%s): %s", verdict, found.server, found.reason)
        report.write(artifact.uri, found)
        blessing.write(artifact, model, found.blessed)


def _judge(
    model: types.Artifact,
    input_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
) -> report.ServingReport:
    rows = holdout.first_rows(input_dict[standard_component_specs.EXAMPLES_KEY], ROWS)
    reference = reference_predictions.read(
        artifact_utils.get_single_uri(input_dict[standard_component_specs.MODEL_RUN_KEY])
    )
    model_name = exec_properties[MODEL_NAME_KEY]
    binary = _executable(exec_properties.get(BINARY_KEY))
    allowed = exec_properties[MAX_DIFFERENCE_KEY]
    findings = Findings()
    kind: str | None = None
    reason: str | None = None
    try:
        with (
            _local_copy(model) as folder,
            candidate_server(
                folder,
                model_name,
                startup_seconds=exec_properties[STARTUP_SECONDS_KEY],
                binary=binary,
            ) as server,
            connected(server.address, model_name) as candidate,
        ):
            kind = server.kind
            examine(candidate, rows, movie_ids(folder), reference, allowed, findings)
    except ServingError as error:
        reason = " ".join(str(error).split())
    return report.ServingReport(
        blessed=reason is None,
        reason=reason
        or f"{len(findings.latency)} signatures answer; {len(reference.values):,} predictions are "
        f"within {allowed:g} of the Trainer's, the largest difference is "
        f"{findings.max_difference:.1g}",
        server=kind,
        max_difference=findings.max_difference,
        latency=findings.latency,
    )


def _executable(binary: str | None) -> Path | None:
    """No fault of the model's, if it is not there."""
    if binary and shutil.which(binary) is None:
        raise ServingError(f"serving.binary {binary}: no file that can be run")
    return Path(binary) if binary else None


@contextmanager
def _local_copy(model: types.Artifact) -> Iterator[Path]:
    """The SavedModel's folder; of one that is in a cloud's storage, a copy."""
    uri = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
    if "://" not in uri:
        yield Path(uri)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "model")
        io_utils.copy_dir(uri, copy)
        yield Path(copy)
