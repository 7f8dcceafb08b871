"""DataFingerprint: says which data a folder holds, for the cache key of ExampleGen."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import ClassVar, Final

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.movielens_example_gen import input_files
from components.step_types import Artifacts, Properties

FINGERPRINT_KEY: Final = "input_fingerprint"
INPUT_BASE_KEY: Final = "input_base"
FILES_KEY: Final = "files"


class Executor(base_executor.BaseExecutor):
    """Writes a digest of the files."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step.

        Raises:
            DataError: A file is not in the folder.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        names = json.loads(exec_properties[FILES_KEY])
        paths = input_files.paths(exec_properties[INPUT_BASE_KEY], names)
        artifact = artifact_utils.get_single_instance(output_dict[FINGERPRINT_KEY])
        fileio.makedirs(os.path.dirname(artifact.uri))
        artifact.value = input_files.fingerprint(paths)


class DataFingerprintSpec(ComponentSpec):
    """Takes a folder; writes a digest of its files."""

    PARAMETERS: ClassVar = {
        INPUT_BASE_KEY: ExecutionParameter(type=str),
        FILES_KEY: ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar = {FINGERPRINT_KEY: ChannelParameter(type=standard_artifacts.String)}


class DataFingerprint(base_component.BaseComponent):
    """Does as a step what TFX's driver does before ExampleGen: clusters have no drivers.

    ExampleGen takes the digest as an input, so its cached result counts only while the files are
    the same.
    """

    SPEC_CLASS = DataFingerprintSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, input_base: str, files: Sequence[str]) -> None:
        """Constructs the component.

        Args:
            input_base: Folder of the data, on this machine or in cloud storage.
            files: Names of the files in the folder.
        """
        super().__init__(
            DataFingerprintSpec(
                input_base=input_base,
                files=json.dumps(list(files)),
                input_fingerprint=types.Channel(type=standard_artifacts.String),
            )
        )
