"""What is left of the Trainer's work when a TFJob has done it."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import path_utils

from pipeline.config.errors import UserError


class TrainedModelExecutor(base_executor.BaseExecutor):
    """Finds the model where the job's chief has written it, and writes nothing itself."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Checks that there is a model.

        Raises:
            UserError: there is none.
        """
        model = artifact_utils.get_single_uri(output_dict[standard_component_specs.MODEL_KEY])
        if not fileio.exists(path_utils.serving_model_dir(model)):
            raise UserError(
                f"{model}: the TFJob has succeeded, but its chief has left no model there that "
                f"this step can read; expected both to have rights to it"
            )
