"""Where a step that trains keeps the state of a training that is interrupted."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Final

from pipeline.config.locations import is_stored

_SETTINGS: Final = "custom_config"
_CHECKPOINTS: Final = "checkpoints"


def with_local_checkpoints(executor_input: dict[str, Any]) -> dict[str, Any]:
    """Returns an ExecutorInput with a local folder for checkpoints that TensorFlow cannot write.

    TensorFlow writes checkpoints itself, and not to s3:// or minio://. There they last as long as
    the machine of the step: one that takes its place trains from the start.

    Args:
        executor_input: an ExecutorInput of schema 2.1 as JSON, without placeholders. Platforms
            that take schema 2.0 have no such storage.
    """
    inputs = executor_input.get("inputs", {})
    values = inputs.get("parameterValues", {})
    settings = json.loads(values.get(_SETTINGS, "{}")) or {}
    if not is_stored(settings.get(_CHECKPOINTS, "")):
        return executor_input
    folder = os.path.join(tempfile.gettempdir(), "movierec", _CHECKPOINTS)
    changed = {**values, _SETTINGS: json.dumps({**settings, _CHECKPOINTS: folder})}
    return {**executor_input, "inputs": {**inputs, "parameterValues": changed}}
