"""The work of PushedBaseline."""

from __future__ import annotations

import logging
import os
from typing import Any, Final

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.push_folder import is_complete, newest_first
from models.export.saved_model import COMPARISON_GROUP_FILE

BASELINE_KEY: Final = "baseline_model"
PUSHED_KEY: Final = "pushed"
COMPARISON_GROUP_KEY: Final = "comparison_group"


class Executor(base_executor.BaseExecutor):
    """Copies the newest comparable version of the push folder, if there is one."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step; without a comparable version the model it leaves is empty."""
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(output_dict[BASELINE_KEY])
        fileio.makedirs(model.uri)
        version = newest_comparable(
            exec_properties[PUSHED_KEY], exec_properties[COMPARISON_GROUP_KEY]
        )
        if version is None:
            logging.info("no comparable model in %s", exec_properties[PUSHED_KEY])
            return
        logging.info("the baseline is %s", version)
        io_utils.copy_dir(version, path_utils.serving_model_dir(model.uri))


def newest_comparable(pushed: str, group: str) -> str | None:
    """The folder of the newest complete version whose comparison group is the given one.

    Args:
        pushed: the folder of versions, of this machine or of a cloud's storage.
        group: as the Trainer wrote it into the exported model.
    """
    for version in newest_first(pushed):
        if is_complete(version) and _group(version) == group:
            return version
    return None


def _group(version: str) -> str | None:
    """The comparison group of an exported model; None where the export does not say."""
    path = os.path.join(version, COMPARISON_GROUP_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "r") as file:
        return str(file.read())
