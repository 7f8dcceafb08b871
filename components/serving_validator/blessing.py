"""The ServingValidator's verdict as an InfraBlessing, as TFX's InfraValidator writes it."""

from __future__ import annotations

import os
from typing import Final

from tfx import types
from tfx.components.evaluator import constants
from tfx.utils import io_utils

from components.serving_validator.report import ServingReport

REPORT_FILE: Final = "report.json"

# TFX's Pusher reads both properties: whether the model is blessed, and whether the blessing
# contains a model that is pushed in place of the Trainer's.
_BLESSED: Final = "blessed"
_HAS_MODEL: Final = "has_model"
_FILES: Final = {True: "INFRA_BLESSED", False: "INFRA_NOT_BLESSED"}


def write(artifact: types.Artifact, model: types.Artifact, report: ServingReport) -> None:
    """Writes the verdict on a model into the artifact, with the report beside it."""
    io_utils.write_string_file(
        os.path.join(artifact.uri, REPORT_FILE), report.model_dump_json(indent=2)
    )
    io_utils.write_string_file(os.path.join(artifact.uri, _FILES[report.blessed]), "")
    artifact.set_int_custom_property(_BLESSED, int(report.blessed))
    artifact.set_int_custom_property(_HAS_MODEL, 0)
    artifact.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )
    artifact.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)


def read_report(folder: str) -> ServingReport:
    """Returns the report in the folder of a blessing."""
    return ServingReport.model_validate_json(
        io_utils.read_string_file(os.path.join(folder, REPORT_FILE))
    )
