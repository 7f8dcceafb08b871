"""The work of DataFingerprint."""

from __future__ import annotations

import json
import os
from typing import Any, Final

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.movielens_example_gen import content

FINGERPRINT_KEY: Final = "input_fingerprint"
INPUT_BASE_KEY: Final = "input_base"
FILES_KEY: Final = "files"


class Executor(base_executor.BaseExecutor):
    """Writes a digest of the files."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step.

        Raises:
            DataError: a file is not in the folder.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        names = json.loads(exec_properties[FILES_KEY])
        found = artifact_utils.get_single_instance(output_dict[FINGERPRINT_KEY])
        fileio.makedirs(os.path.dirname(found.uri))
        found.value = content.fingerprint(content.present(exec_properties[INPUT_BASE_KEY], names))
