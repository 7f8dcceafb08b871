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

from models import comparison_group
from serving.versions import version_number

BASELINE_KEY: Final = "baseline_model"
PUSHED_KEY: Final = "pushed"
COMPARISON_GROUP_KEY: Final = "comparison_group"

_SAVED_MODEL = "saved_model.pb"


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

    Whatever the folder's file system raises where it cannot read is left to the caller: there is
    no baseline only where it says that there is none.

    Args:
        pushed: the folder of versions, of this machine or of a cloud's storage.
        group: as the Trainer wrote it into the exported model.
    """
    # TensorFlow's isdir says no where it cannot tell; exists does not, and listdir then fails.
    if not fileio.exists(pushed):
        return None
    # A cloud's storage ends the names of folders with a slash.
    names = (name.rstrip("/") for name in fileio.listdir(pushed))
    numbers = {name: version_number(name) for name in names}
    found = {name: number for name, number in numbers.items() if number is not None}
    for name in sorted(found, key=found.__getitem__, reverse=True):
        version = os.path.join(pushed, name)
        # Copied last, so without it the version is still on its way.
        complete = fileio.exists(os.path.join(version, _SAVED_MODEL))
        if complete and _group(version) == group:
            return version
    return None


def _group(version: str) -> str | None:
    """The comparison group of an exported model; None where the export does not say."""
    path = os.path.join(version, comparison_group.COMPARISON_GROUP_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "r") as file:
        return str(file.read())
