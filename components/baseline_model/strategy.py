"""The resolver strategy that picks the baseline of the regression gate."""

from __future__ import annotations

import ml_metadata
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio

from components.serving_validator import blessing as infra_blessing

CANDIDATE = "candidate"
MODEL = "model"
BLESSING = "model_blessing"
INFRA_BLESSING = "infra_blessing"

# Custom property of a Model: only models of the same group can be compared on one holdout.
COMPARISON_GROUP = "comparison_group"


class LatestComparableBlessedModel(resolver.ResolverStrategy):
    """Resolves the model that was blessed last, among those comparable with the candidate.

    TFX's own strategy compares an unchanged model with itself on the second run, which makes
    every run evaluate and push again, and compares models of different splits, where the
    baseline may have been trained on the candidate's holdout. Here
    - a model counts only if its comparison group is the candidate's and it has not been deleted,
    - it counts only if a model server answered with it, too: no other was ever pushed,
    - if the candidate itself was blessed last, its baseline is the one it was blessed against.

    Inputs and outputs: `candidate` and `model` (Model), `model_blessing` (ModelBlessing),
    `infra_blessing` (InfraBlessing).
    """

    def resolve_artifacts(
        self, store: ml_metadata.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """The candidate, and its baseline with its blessings, or nothing where there is none."""
        candidates = input_dict[CANDIDATE]
        # A key that is missing here would make TFX drop all of them.
        result: dict[str, list[types.Artifact]] = {
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
