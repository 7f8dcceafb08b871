"""The DataFingerprint component."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.data_fingerprint import executor


class DataFingerprintSpec(ComponentSpec):
    """A folder in, a digest of its files out."""

    PARAMETERS: ClassVar = {
        executor.INPUT_BASE_KEY: ExecutionParameter(type=str),
        executor.FILES_KEY: ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar = {executor.FINGERPRINT_KEY: ChannelParameter(type=standard_artifacts.String)}


class DataFingerprint(base_component.BaseComponent):
    """What TFX's driver finds out before ExampleGen, as a step: clusters have no drivers.

    The digest is an input of ExampleGen, whose cached result counts only while the files are the
    same.
    """

    SPEC_CLASS = DataFingerprintSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, input_base: str, files: Sequence[str]) -> None:
        """Constructs the component.

        Args:
            input_base: the folder, of this machine or of a cloud's storage.
            files: their names in it.
        """
        super().__init__(
            DataFingerprintSpec(
                input_base=input_base,
                files=json.dumps(list(files)),
                input_fingerprint=types.Channel(type=standard_artifacts.String),
            )
        )
