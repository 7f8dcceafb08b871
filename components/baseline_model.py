"""The resolver strategy that finds the model that a new one has to be compared with."""

from __future__ import annotations

import ml_metadata
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio

from components.serving_validator import blessing as infra_blessing
from components.step_types import Artifacts

CANDIDATE = "candidate"
MODEL = "model"
BLESSING = "model_blessing"
INFRA_BLESSING = "infra_blessing"

COMPARISON_GROUP = "comparison_group"
"""Custom property of a Model: only models of the same group can be compared on one holdout."""


class LatestComparableBlessedModel(resolver.ResolverStrategy):
    """Resolves the model that was blessed last among those comparable with the candidate.

    TFX's own strategy has two faults here. On the second run it compares an unchanged model with
    itself, which makes every run evaluate and push again. And it compares models of different
    splits, so the baseline may have been trained on the candidate's holdout. This strategy has
    three rules:

    - A model counts only if it has the candidate's comparison group and was not deleted.
    - A model counts only if the ServingValidator blessed it as well; no other was ever pushed.
    - If the candidate itself was blessed last, its baseline is the one it was blessed against.

    Inputs and outputs: `candidate` and `model` (Model), `model_blessing` (ModelBlessing),
    `infra_blessing` (InfraBlessing).
    """

    def resolve_artifacts(
        self, store: ml_metadata.MetadataStore, input_dict: Artifacts
    ) -> Artifacts:
        """Returns the candidate and, if there is one, the baseline with its blessings."""
        candidates = input_dict[CANDIDATE]
        # If a key is missing, TFX drops all of them.
        result: Artifacts = {
            CANDIDATE: candidates,
            MODEL: [],
            BLESSING: [],
            INFRA_BLESSING: [],
        }
        if not candidates:
            return result
        candidate = candidates[0]
        servable = infra_blessing.by_model(input_dict[INFRA_BLESSING])
        group = candidate.get_string_custom_property(COMPARISON_GROUP)
        models = {
            model.id: model
            for model in input_dict[MODEL]
            if model.get_string_custom_property(COMPARISON_GROUP) == group
            and model.id in servable
            and fileio.exists(model.uri)
        }
        blessings = [
            blessing
            for blessing in sorted(input_dict[BLESSING], key=lambda artifact: -artifact.id)
            if blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
            == constants.BLESSED_VALUE
            and _model_id(blessing) in models
        ]
        if not blessings:
            return result
        baseline = _model_id(blessings[0])
        if baseline == candidate.id:
            baseline = blessings[0].get_int_custom_property(
                constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY
            )
        if baseline in models:
            result[MODEL] = [models[baseline]]
            result[BLESSING] = [next(b for b in blessings if _model_id(b) == baseline)]
            result[INFRA_BLESSING] = [servable[baseline]]
        return result


def _model_id(blessing: types.Artifact) -> int:
    model_id: int = blessing.get_int_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
    )
    return model_id
