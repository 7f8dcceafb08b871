"""The verdict on a model as an InfraBlessing, as TFX's InfraValidator writes it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from tfx import types
from tfx.components.evaluator import constants
from tfx.utils import io_utils

# TFX's Pusher asks for the first, and for the second if it shall take the model from the blessing.
_BLESSED: Final = "blessed"
_HAS_MODEL: Final = "has_model"
_FILES: Final = {True: "INFRA_BLESSED", False: "INFRA_NOT_BLESSED"}


def write(artifact: types.Artifact, model: types.Artifact, blessed: bool) -> None:
    """Marks the artifact, and says in it which model was judged."""
    io_utils.write_string_file(os.path.join(artifact.uri, _FILES[blessed]), "")
    artifact.set_int_custom_property(_BLESSED, int(blessed))
    artifact.set_int_custom_property(_HAS_MODEL, 0)
    artifact.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )
    artifact.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)


def is_blessed(artifact: types.Artifact) -> bool:
    """Whether the model can be pushed."""
    return bool(artifact.get_int_custom_property(_BLESSED) == 1)


def by_model(artifacts: Iterable[types.Artifact]) -> dict[int, types.Artifact]:
    """By its id, the blessing of each model that could be pushed when it was judged."""
    return {
        artifact.get_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY): artifact
        for artifact in artifacts
        if is_blessed(artifact)
    }
