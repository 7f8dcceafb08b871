"""DataFingerprint: says which data a folder holds, for the cache key of ExampleGen."""

from __future__ import annotations

import os
from typing import ClassVar, Final

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.movielens_example_gen import golden_set, spans
from components.movielens_example_gen.options import IngestOptions
from components.step_types import Artifacts, Properties

FINGERPRINT_KEY: Final = "input_fingerprint"
INPUT_BASE_KEY: Final = "input_base"
EDITION_KEY: Final = "edition"
WINDOW_KEY: Final = "window"
GOLDEN_SET_KEY: Final = "golden_set"


class Executor(base_executor.BaseExecutor):
    """Writes a digest of the files."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step.

        Raises:
            DataError: A file is not in the folder, or the edition is not recognised.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        source = spans.find(
            exec_properties[INPUT_BASE_KEY],
            exec_properties[EDITION_KEY],
            exec_properties.get(WINDOW_KEY),
        )
        artifact = artifact_utils.get_single_instance(output_dict[FINGERPRINT_KEY])
        fileio.makedirs(os.path.dirname(artifact.uri))
        artifact.value = golden_set.fingerprint(
            source.fingerprint(), exec_properties.get(GOLDEN_SET_KEY)
        )


class DataFingerprintSpec(ComponentSpec):
    """Takes a folder; writes a digest of its files."""

    PARAMETERS: ClassVar = {
        INPUT_BASE_KEY: ExecutionParameter(type=str),
        EDITION_KEY: ExecutionParameter(type=str),
        WINDOW_KEY: ExecutionParameter(type=int, optional=True),
        GOLDEN_SET_KEY: ExecutionParameter(type=str, optional=True),
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

    def __init__(self, input_base: str, options: IngestOptions) -> None:
        """Constructs the component.

        Args:
            input_base: Path of the data, on this machine or in cloud storage, perhaps with
                placeholders.
            options: Edition, which says what its files are called, window and golden set.
        """
        super().__init__(
            DataFingerprintSpec(
                input_base=input_base,
                edition=options.edition,
                window=options.window,
                golden_set=options.golden_set,
                input_fingerprint=types.Channel(type=standard_artifacts.String),
            )
        )
