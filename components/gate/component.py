"""Gate: the last word on a model before the push, with a record for the runs to come."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from typing import ClassVar, Final

import tensorflow_model_analysis as tfma
from tfx import types
from tfx.components.evaluator import constants
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.experimental import simple_artifacts
from tfx.utils import io_utils, path_utils

from components import push_folder, pushed_baseline, rating_baselines, ratings
from components.drift.history import remembered
from components.gate import golden, predictions, release
from components.gate.interval import Interval, around, rmse_difference
from components.gate.judgement import Baseline, Figures, Judgement, judge
from components.gate.limits import GateLimits
from components.gate.record import GateRecord, GoldenComparison
from components.gate.shift import Shift, rmse_shift
from components.movielens_example_gen import golden_set, rating_sample
from components.movielens_example_gen import report as ingest_report
from components.recommendation_lists import list_figures, read_counts
from components.step_types import Artifacts, Properties
from models import features
from models.beyond_accuracy import BeyondAccuracy
from models.columns import Columns
from serving.pushed_model import PushedModel

EVALUATION_KEY: Final = "evaluation"
EVALUATOR_BLESSING_KEY: Final = "evaluator_blessing"
RELEASE_KEY: Final = "release"
LIMITS_KEY: Final = "limits"
ACCEPTED_KEY: Final = "accepted_drift"
RMSE_KEY: Final = "rmse_metric"
NDCG_KEY: Final = "ndcg_metric"
NDCG_CHANGE_ERROR_KEY: Final = "ndcg_change_error_metric"
LIKED_KEY: Final = "liked_rating"

JUDGEMENT_FILE: Final = "judgement.json"

_SHOWN_CONFIDENCE: Final = 0.95


class Executor(base_executor.BaseExecutor):
    """Judges the model, and adds the record to the copy that is pushed."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Writes the blessing with its grounds and, for a blessed model, the model to push."""
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
        export = path_utils.serving_model_path(model.uri)
        last = _last_blessed(input_dict)
        evaluation = artifact_utils.get_single_uri(input_dict[EVALUATION_KEY])
        candidate = _figures(evaluation, exec_properties)
        accepted = _accepted(export, exec_properties)
        limits = GateLimits.model_validate_json(exec_properties[LIMITS_KEY])
        baseline = interval = ndcg_interval = None
        if last is not None:
            last_export = path_utils.serving_model_path(last.uri)
            record = release.read_record(last_export)
            shift = None
            if candidate.rmse is not None:
                holdout = predictions.holdout(input_dict[standard_component_specs.EXAMPLES_KEY])
                interval, shift = _compared(export, last_export, holdout, record, limits)
            figures = _figures(evaluation, exec_properties, tfma.BASELINE_KEY)
            baseline = Baseline(figures=figures, record=record, shift=shift)
            ndcg_interval = _ndcg_interval(candidate, figures, limits)
        judgement = judge(
            candidate=candidate,
            baseline=baseline,
            bias_only=rating_baselines.read(
                artifact_utils.get_single_uri(input_dict[rating_baselines.BASELINES_KEY])
            )[rating_baselines.BIAS_ONLY],
            limits=limits,
            interval=interval,
            ndcg_interval=ndcg_interval,
            accepted=accepted,
            why_no_baseline=pushed_baseline.why_none(
                exec_properties[pushed_baseline.PUSHED_KEY],
                exec_properties[pushed_baseline.COMPARISON_GROUP_KEY],
            ),
            on_golden=_on_golden(input_dict, export, last, exec_properties[LIKED_KEY]),
            lists=_lists(export, limits),
            liked_rating=exec_properties[LIKED_KEY],
        )
        evaluated = artifact_utils.get_single_instance(input_dict[EVALUATOR_BLESSING_KEY])
        blessed = not judgement.failures and model_utils.is_model_blessed(evaluated)
        blessing = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.BLESSING_KEY]
        )
        _write_blessing(blessing, judgement, blessed, model, last)
        released = artifact_utils.get_single_instance(output_dict[RELEASE_KEY])
        fileio.makedirs(released.uri)
        if blessed:
            folder = path_utils.serving_model_dir(released.uri)
            examples = artifact_utils.get_single_uri(
                input_dict[standard_component_specs.EXAMPLES_KEY]
            )
            ingest = ingest_report.read(examples)
            io_utils.copy_dir(export, folder)
            release.write_sample(folder, _sample(examples, exec_properties, accepted))
            release.write_statistics(
                folder,
                release.train_statistics(input_dict[standard_component_specs.STATISTICS_KEY]),
            )
            release.write_record(
                folder,
                GateRecord(
                    rmse=candidate.rmse,
                    ndcg=candidate.ndcg,
                    liked_rating=None if candidate.ndcg is None else exec_properties[LIKED_KEY],
                    above_best=judgement.above_best,
                    below_best=judgement.below_best,
                    accepted_drift=accepted,
                    data_fingerprint=ingest.fingerprint,
                    trained_until=ingest.trained_until,
                    golden=judgement.golden and judgement.golden.candidate,
                ),
            )


class GateSpec(ComponentSpec):
    """Takes a model with its evaluation; writes a blessing and the model to push."""

    PARAMETERS: ClassVar = {
        LIMITS_KEY: ExecutionParameter(type=str),
        ACCEPTED_KEY: ExecutionParameter(type=str),
        RMSE_KEY: ExecutionParameter(type=str, optional=True),
        NDCG_KEY: ExecutionParameter(type=str, optional=True),
        NDCG_CHANGE_ERROR_KEY: ExecutionParameter(type=str, optional=True),
        LIKED_KEY: ExecutionParameter(type=float),
        pushed_baseline.PUSHED_KEY: ExecutionParameter(type=str),
        pushed_baseline.COMPARISON_GROUP_KEY: ExecutionParameter(type=str),
        "code_fingerprint": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        standard_component_specs.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        standard_component_specs.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model),
        standard_component_specs.BASELINE_MODEL_KEY: ChannelParameter(
            type=standard_artifacts.Model, optional=True
        ),
        EVALUATION_KEY: ChannelParameter(type=standard_artifacts.ModelEvaluation),
        EVALUATOR_BLESSING_KEY: ChannelParameter(type=standard_artifacts.ModelBlessing),
        rating_baselines.BASELINES_KEY: ChannelParameter(type=simple_artifacts.Metrics),
        standard_component_specs.STATISTICS_KEY: ChannelParameter(
            type=standard_artifacts.ExampleStatistics
        ),
    }
    OUTPUTS: ClassVar = {
        standard_component_specs.BLESSING_KEY: ChannelParameter(
            type=standard_artifacts.ModelBlessing
        ),
        RELEASE_KEY: ChannelParameter(type=standard_artifacts.Model),
    }


class Gate(base_component.BaseComponent):
    """Blesses a model that the Evaluator blessed, if it holds beside other weeks' too.

    The Evaluator compares two models on one holdout. That holdout may be as poisoned as the
    ratings that the model was trained on, and many small losses may add up. The Gate compares with
    the figures that travel inside the last blessed model.
    """

    SPEC_CLASS = GateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel,
        evaluation: types.BaseChannel,
        evaluator_blessing: types.BaseChannel,
        baselines: types.BaseChannel,
        statistics: types.BaseChannel,
        limits: GateLimits,
        pushed: str,
        comparison_group: str,
        code_fingerprint: str,
        accepted_drift: str,
        liked_rating: float,
        rmse_metric: str | None = None,
        ndcg_metric: str | None = None,
        ndcg_change_error_metric: str | None = None,
    ) -> None:
        """Constructs the component.

        Args:
            examples: Raw ratings with the split holdout and, perhaps, a golden set.
            model: The Trainer's exported model.
            baseline_model: The last blessed model, if there is one.
            evaluation: The Evaluator's figures of both models.
            evaluator_blessing: The Evaluator's verdict.
            baselines: Figures of the simplest predictions.
            statistics: Statistics of the ratings, which the next run compares its own with.
            limits: Limits to hold the figures against.
            pushed: Folder that the Pusher pushes to.
            comparison_group: Group of the model.
            code_fingerprint: Digest of this component's code; a change makes the step run again.
            accepted_drift: Names of moves that a person accepted for this run, separated by
                commas.
            liked_rating: Lowest rating of a liked movie.
            rmse_metric: Name of RMSE in the evaluation; None for a model that predicts no ratings.
            ndcg_metric: Name of NDCG@10 in the evaluation; None for a model that retrieves
                nothing.
            ndcg_change_error_metric: Name of the standard error of its difference from that of
                `baseline_model`; None likewise.
        """
        super().__init__(
            GateSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                evaluation=evaluation,
                evaluator_blessing=evaluator_blessing,
                baselines=baselines,
                statistics=statistics,
                limits=limits.model_dump_json(include=set(GateLimits.model_fields)),
                pushed=pushed,
                comparison_group=comparison_group,
                code_fingerprint=code_fingerprint,
                accepted_drift=accepted_drift,
                liked_rating=liked_rating,
                rmse_metric=rmse_metric,
                ndcg_metric=ndcg_metric,
                ndcg_change_error_metric=ndcg_change_error_metric,
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                release=types.Channel(type=standard_artifacts.Model),
            )
        )


def read_judgement(folder: str) -> Judgement:
    """Returns the grounds of a blessing, from the artifact's folder."""
    return Judgement.model_validate_json(
        io_utils.read_string_file(os.path.join(folder, JUDGEMENT_FILE))
    )


def _last_blessed(input_dict: Artifacts) -> types.Artifact | None:
    """Returns the baseline; in a cluster, an artifact without a model stands for none."""
    for model in input_dict.get(standard_component_specs.BASELINE_MODEL_KEY, []):
        if fileio.exists(path_utils.serving_model_dir(model.uri)):
            return model
    return None


def _last_pushed(exec_properties: Properties) -> str | None:
    """Returns the version that DriftValidator has compared this run's data with."""
    return pushed_baseline.newest_comparable(
        exec_properties[pushed_baseline.PUSHED_KEY],
        exec_properties[pushed_baseline.COMPARISON_GROUP_KEY],
    )


def _sample(
    examples: str, exec_properties: Properties, accepted: Collection[str]
) -> rating_sample.RatingSample:
    """Returns the sample of the ratings that the next run compares its own with."""
    pushed = _last_pushed(exec_properties)
    before = None if pushed is None else release.read_sample(pushed)
    return remembered(before, rating_sample.read(examples), accepted)


def _accepted(export: str, exec_properties: Properties) -> tuple[str, ...]:
    """Returns the accepted moves; those of an export that was pushed hold for it for good."""
    names = {name for name in exec_properties[ACCEPTED_KEY].split(",") if name}
    pushed = _last_pushed(exec_properties)
    if pushed is not None and push_folder.is_same_export(pushed, export):
        earlier = release.read_record(pushed)
        names |= set(earlier.accepted_drift if earlier else ())
    return tuple(sorted(names))


def _figures(evaluation: str, exec_properties: Properties, model_name: str = "") -> Figures:
    """Returns a model's figures on the whole holdout.

    Args:
        evaluation: Folder of the Evaluator's output.
        exec_properties: Properties with the names of the metrics.
        model_name: Name of the model in the evaluation; TFMA has none for a model alone.
    """
    found: dict[str, float] = {}
    for metrics in tfma.load_metrics(evaluation):
        if metrics.slice_key.single_slice_keys:
            continue
        for entry in metrics.metric_keys_and_values:
            key = entry.key
            is_baseline = key.model_name == tfma.BASELINE_KEY
            if not key.is_diff and is_baseline == (model_name == tfma.BASELINE_KEY):
                found[key.name] = entry.value.double_value.value

    def figure(name_key: str) -> float | None:
        name = exec_properties.get(name_key)
        return found[name] if name else None

    return Figures(
        rmse=figure(RMSE_KEY),
        ndcg=figure(NDCG_KEY),
        # Only the candidate has one, and only beside a baseline.
        ndcg_change_error=found.get(exec_properties.get(NDCG_CHANGE_ERROR_KEY) or ""),
    )


def _compared(
    export: str, baseline: str, ratings: Columns, record: GateRecord | None, limits: GateLimits
) -> tuple[Interval, Shift | None]:
    """Returns the interval of the change of RMSE, and the move of the baseline's since then."""
    users = ratings[features.USER_ID]
    ours, theirs = (predictions.errors(folder, ratings) for folder in (export, baseline))
    then = None if record is None else record.rmse
    return (
        rmse_difference(ours, theirs, users, limits.confidence or _SHOWN_CONFIDENCE),
        None if then is None else rmse_shift(theirs, users, then),
    )


def _ndcg_interval(candidate: Figures, last: Figures, limits: GateLimits) -> Interval | None:
    """Returns the interval of the change of NDCG@10; None where it has no spread."""
    error = candidate.ndcg_change_error
    if candidate.ndcg is None or last.ndcg is None or error is None or math.isnan(error):
        return None
    change = candidate.ndcg - last.ndcg
    return around(change, error, limits.confidence or _SHOWN_CONFIDENCE)


def _on_golden(
    input_dict: Artifacts, export: str, last: types.Artifact | None, liked_rating: float
) -> GoldenComparison | None:
    """Returns how the model and the last blessed one fare on the golden set, if there is one."""
    examples = artifact_utils.get_single_uri(input_dict[standard_component_specs.EXAMPLES_KEY])
    if not golden_set.exists(examples):
        return None
    baseline = None if last is None else path_utils.serving_model_path(last.uri)
    return golden.compare(
        export,
        baseline,
        None if baseline is None else release.read_record(baseline),
        ratings.read(examples, features.GOLDEN),
        liked_rating,
    )


def _lists(export: str, limits: GateLimits) -> BeyondAccuracy | None:
    """Returns the figures of the recommendation lists, which take time, if a limit needs them."""
    if limits.min_catalogue_coverage is None and limits.max_popularity_lift is None:
        return None
    _, figures = list_figures(PushedModel(export), read_counts(export))
    return figures


def _write_blessing(
    blessing: types.Artifact,
    judgement: Judgement,
    blessed: bool,
    model: types.Artifact,
    baseline: types.Artifact | None,
) -> None:
    """Writes the verdict in the form of TFX's Evaluator, with its grounds beside it."""
    name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    io_utils.write_string_file(
        os.path.join(blessing.uri, JUDGEMENT_FILE), judgement.model_dump_json(indent=2)
    )
    blessing.set_int_custom_property(
        constants.ARTIFACT_PROPERTY_BLESSED_KEY,
        constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE,
    )
    blessing.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    if baseline is not None:
        blessing.set_string_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri
        )
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id
        )
