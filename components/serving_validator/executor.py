"""The executor of ServingValidator."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import path_utils

from components import push_folder
from components.serving_validator import blessing, request_data
from components.serving_validator.candidate import connected
from components.serving_validator.examination import ROWS, Findings, examine
from components.serving_validator.report import ServingReport
from components.step_types import Artifacts, Properties
from models.export import reference_predictions
from serving import allowed_ops
from serving.errors import ServerUnavailableError, ServingError, one_line
from serving.launch.candidate_server import candidate_server

MODEL_NAME_KEY: Final = "model_name"
STARTUP_SECONDS_KEY: Final = "startup_seconds"
MAX_DIFFERENCE_KEY: Final = "max_difference"
BINARY_KEY: Final = "binary"
CHECK_OPS_KEY: Final = "check_ops"


class Executor(base_executor.BaseExecutor):
    """Starts a model server on the candidate and asks every signature about the holdout."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Blesses the model or not, and says why in the report; neither verdict fails the step.

        A server that cannot be asked is no verdict. The step then fails, and is not cached.

        Raises:
            ServingError: The configured binary cannot be run.
            ServerUnavailableError: The server does not come up in time, or is killed.
        """
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        artifact = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.BLESSING_KEY]
        )
        report = _judge(model, input_dict, exec_properties)
        verdict = "blessed" if report.blessed else "not blessed"
        logging.info("%s by the model server (%s): %s", verdict, report.server, report.reason)
        blessing.write(artifact, model, report)


def _judge(
    model: types.Artifact, input_dict: Artifacts, exec_properties: Properties
) -> ServingReport:
    rows = request_data.holdout_rows(input_dict[standard_component_specs.EXAMPLES_KEY], ROWS)
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
            _checked_copy(model, check_ops=bool(exec_properties[CHECK_OPS_KEY])) as folder,
            candidate_server(
                folder,
                model_name,
                startup_seconds=exec_properties[STARTUP_SECONDS_KEY],
                binary=binary,
            ) as server,
            connected(server.address, model_name) as candidate,
        ):
            kind = server.kind
            movies = request_data.movie_ids(folder)
            examine(candidate, rows, movies, reference, allowed, findings)
    except ServerUnavailableError:
        raise
    except ServingError as error:
        reason = one_line(str(error))
    return ServingReport(
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
    """Returns the configured binary; one that is missing is not the model's fault."""
    if binary and shutil.which(binary) is None:
        raise ServingError(f"serving.binary {binary}: not an executable file")
    return Path(binary) if binary else None


@contextmanager
def _checked_copy(model: types.Artifact, *, check_ops: bool) -> Iterator[Path]:
    """Yields the SavedModel's folder on this machine once its ops are known to be allowed.

    No server has loaded it before.
    """
    uri = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
    with push_folder.local_copy(uri) as folder:
        if check_ops:
            allowed_ops.check_ops(folder)
        yield folder
