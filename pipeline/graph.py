"""The pipeline: its steps, what flows between them, and what is in their cache keys."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tfx import types
from tfx.components.evaluator.component import Evaluator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.trainer.component import Trainer
from tfx.components.transform.component import Transform
from tfx.dsl.components.base import base_node
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.proto import pusher_pb2, trainer_pb2, transform_pb2
from tfx.types import standard_artifacts, standard_component_specs

from components import pushed_baseline, rating_baselines, warm_start
from components.atomic_pusher import AtomicPusher
from components.baseline_evaluator import BaselineEvaluator
from components.data_fingerprint import DataFingerprint
from components.drift.component import DriftValidator
from components.example_validator import StrictExampleValidator
from components.gate.component import RELEASE_KEY, Gate
from components.movielens_example_gen.component import MovieLensExampleGen
from components.rating_baselines import RatingBaselines
from components.serving_validator.component import ServingValidator
from components.statistics_gen import make_statistics_gen
from components.transform.component import make_transform
from models import features
from models.registry import MODELS
from pipeline import PIPELINE_NAME, SCHEMA_FILE
from pipeline.bulk_export_step import EXPORT_KEY, BulkExport
from pipeline.code_fingerprint import fingerprint
from pipeline.config import beam as beam_config
from pipeline.config.tree import PipelineConfig
from pipeline.gate import evaluation_config
from pipeline.ingest_options import ingest_options
from pipeline.ranking_metrics import NDCG, NDCG_CHANGE_ERROR
from pipeline.rating_metrics import RMSE

if TYPE_CHECKING:
    from tfx.components.tuner.component import Tuner

DATA_FINGERPRINT: Final = "DataFingerprint"
EXAMPLE_GEN: Final = beam_config.EXAMPLE_GEN
STATISTICS_GEN: Final = beam_config.STATISTICS_GEN
SCHEMA_GEN: Final = "ImportSchemaGen"
EXAMPLE_VALIDATOR: Final = "ExampleValidator"
DRIFT_VALIDATOR: Final = "DriftValidator"
TRANSFORM: Final = beam_config.TRANSFORM
BASELINES: Final = "RatingBaselines"
TUNER: Final = "Tuner"
TRAINER: Final = "Trainer"
BASELINE_MODEL: Final = "BaselineModel"
WARM_START_MODEL: Final = "WarmStartModel"
EVALUATOR: Final = beam_config.EVALUATOR
GATE: Final = "Gate"
SERVING_VALIDATOR: Final = "ServingValidator"
PUSHER: Final = "Pusher"
BULK_EXPORT: Final = "BulkExport"
RUN_REPORT: Final = "RunReport"

MAY_BE_EMPTY: Final = frozenset(
    {
        (GATE, RELEASE_KEY),
        (PUSHER, standard_component_specs.PUSHED_MODEL_KEY),
        (BULK_EXPORT, EXPORT_KEY),
    }
)
"""Outputs, by step and key, of which a folder without files is a result."""

MakeTrainer = Callable[..., Trainer]
"""A function with the parameters of TFX's Trainer."""

MakeReport = Callable[[Mapping[str, base_node.BaseNode], PipelineConfig], base_node.BaseNode]
"""A function of the other steps by id, and the configuration."""


@dataclass(frozen=True)
class Locations:
    """The places where the pipeline reads and writes: local folders or URIs of cloud storage."""

    data: str
    artifacts: str
    checkpoints: str
    serving: str
    schema: str = str(SCHEMA_FILE)
    golden_set: str | None = None


def lookups(config: PipelineConfig) -> list[str]:
    """Returns the steps of a cluster that look up anew in each run what changes by itself."""
    always = [DATA_FINGERPRINT, DRIFT_VALIDATOR, BASELINE_MODEL]
    return [*always, WARM_START_MODEL] if config.training.warm_start else always


def create_pipeline(
    config: PipelineConfig,
    locations: Locations,
    in_cluster: bool = False,
    make_trainer: MakeTrainer = Trainer,
    image: str | None = None,
    accepted_drift: str = "",
    make_report: MakeReport | None = None,
) -> tfx_pipeline.Pipeline:
    """Builds the pipeline that every runner runs; a runner adds only what its platform needs.

    Args:
        config: Configuration of the run.
        locations: Places to read and write.
        in_cluster: Whether the platform lacks TFX's metadata store and drivers. Ordinary steps
            then find out which data there is, and which model was blessed last.
        make_trainer: Constructor of the Trainer. A Trainer that does not train on the machine of
            its step has another one than TFX's.
        image: Image of the steps, which Beam's workers on other machines run as well; None for
            steps in this process.
        accepted_drift: Names of moves of the data that a person accepts for this run, separated
            by commas.
        make_report: Constructor of a last step that reports on the run; None leaves it out.
    """
    example_gen = MovieLensExampleGen(
        input_base=locations.data,
        options=ingest_options(config, locations.golden_set),
        code_fingerprint=fingerprint("components.movielens_example_gen.executor"),
    ).with_id(EXAMPLE_GEN)
    examples = example_gen.outputs["examples"]
    schema_gen, statistics_gen, validator = _data_checks(config, examples, locations.schema)
    drift_validator = DriftValidator(
        examples=examples,
        statistics=statistics_gen.outputs["statistics"],
        schema=schema_gen.outputs["schema"],
        limits=config.drift,
        pushed=locations.serving,
        comparison_group=_comparison_group(config),
        accepted_drift=accepted_drift,
    ).with_id(DRIFT_VALIDATOR)
    drift_validator.add_upstream_node(validator)
    if not in_cluster:
        # The last blessed model is in no cache key.
        _add_to_cache_key(drift_validator, "drift", "started", str(time.time_ns()))
    transform = _transform(config, examples, schema_gen.outputs["schema"])
    baselines = RatingBaselines(
        examples=transform.outputs["transformed_examples"],
        code_fingerprint=fingerprint("components.rating_baselines"),
    ).with_id(BASELINES)
    tuner = _tuner(config, transform, locations.checkpoints) if config.tuning.enabled else None
    warm_start_model = (
        _warm_start_model(config, examples, locations, in_cluster)
        if config.training.warm_start
        else None
    )
    trainer = _trainer(
        config, transform, tuner, warm_start_model, locations.checkpoints, make_trainer
    )
    training = [step for step in (tuner, warm_start_model, trainer) if step is not None]
    for learner in filter(None, (baselines, tuner, trainer)):
        # Nothing is learnt from data that broke the schema, or that moved too far.
        learner.add_upstream_node(drift_validator)
    serving_validator = _serving_validator(config, examples, trainer)
    evaluation = _in_cluster_evaluation if in_cluster else _evaluation
    baseline, evaluator = evaluation(config, examples, trainer.outputs["model"], locations)
    gate = _gate(
        config,
        locations,
        accepted_drift,
        examples=examples,
        model=trainer.outputs["model"],
        baseline_model=evaluator.inputs[standard_component_specs.BASELINE_MODEL_KEY],
        evaluation=evaluator.outputs["evaluation"],
        evaluator_blessing=evaluator.outputs["blessing"],
        baselines=baselines.outputs[rating_baselines.BASELINES_KEY],
        statistics=statistics_gen.outputs["statistics"],
    )
    pusher = _pusher(config, examples, gate, serving_validator, locations)
    lookups = [_data_fingerprint(config, locations)] if in_cluster else []
    components = [
        *lookups,
        example_gen,
        schema_gen,
        statistics_gen,
        validator,
        drift_validator,
        transform,
        baselines,
        *training,
        baseline,
        evaluator,
        gate,
        serving_validator,
        pusher,
        *([_bulk_export(config, pusher)] if config.bulk_export.wanted else []),
    ]
    if make_report is not None:
        steps = {component.id: component for component in components}
        components.append(make_report(steps, config).with_id(RUN_REPORT))
    for component in components:
        if isinstance(component, BaseBeamComponent):
            component.with_beam_pipeline_args(config.beam.arguments_for(component.id, image))
    return tfx_pipeline.Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=locations.artifacts,
        components=components,
        enable_cache=config.runner.cache,
    )


def _data_fingerprint(config: PipelineConfig, locations: Locations) -> DataFingerprint:
    return DataFingerprint(
        input_base=locations.data, options=ingest_options(config, locations.golden_set)
    ).with_id(DATA_FINGERPRINT)


def _data_checks(
    config: PipelineConfig, examples: types.BaseChannel, schema_file: str
) -> tuple[ImportSchemaGen, base_node.BaseNode, StrictExampleValidator]:
    """Returns the schema, the statistics, and the validator that compares them."""
    schema_gen = ImportSchemaGen(schema_file=schema_file).with_id(SCHEMA_GEN)
    # TFX puts the file's name into the cache key, but not its content.
    content = hashlib.sha256(SCHEMA_FILE.read_bytes()).hexdigest()
    _add_to_cache_key(schema_gen, "schema", "content_sha256", content)
    statistics_gen = make_statistics_gen(examples, config.beam.in_step_process)
    statistics_gen = statistics_gen.with_id(STATISTICS_GEN)
    validator = StrictExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    ).with_id(EXAMPLE_VALIDATOR)
    _add_code_to_cache_key(statistics_gen, "statistics", "components.statistics_gen")
    _add_code_to_cache_key(validator, "anomalies", "components.example_validator")
    return schema_gen, statistics_gen, validator


def _transform(
    config: PipelineConfig, examples: types.BaseChannel, schema: types.BaseChannel
) -> Transform:
    return make_transform(
        config.beam.in_step_process,
        examples=examples,
        schema=schema,
        preprocessing_fn="models.preprocessing.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(
            analyze=[features.TRAIN], transform=list(features.SPLITS)
        ),
        # StatisticsGen has described the raw data.
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config={
            "transform": config.transform.model_dump(mode="json"),
            "code_fingerprint": fingerprint(
                "models.preprocessing", "components.transform.executor"
            ),
        },
    ).with_id(TRANSFORM)


def _tuner(config: PipelineConfig, transform: Transform, checkpoints: str) -> Tuner:
    # KerasTuner takes a second to import, and most runs do not search.
    from tfx.components.tuner.component import Tuner  # noqa: PLC0415

    return Tuner(
        tuner_fn="models.training.tuner.tuner_fn",
        custom_config={
            **_custom_config(config, checkpoints, "models.training.tuner"),
            "tuning": config.tuning.model_dump(mode="json"),
        },
        **_training_inputs(transform),
    ).with_id(TUNER)


def _warm_start_model(
    config: PipelineConfig, examples: types.BaseChannel, locations: Locations, in_cluster: bool
) -> base_node.BaseNode:
    """Returns the lookup of the model to start from, as a step or as an artifact."""
    group = _comparison_group(config)
    if in_cluster:
        lookup: base_node.BaseNode = warm_start.WarmStartModel(
            examples=examples, pushed=locations.serving, comparison_group=group
        )
    else:
        lookup = Resolver(
            strategy_class=warm_start.WarmStartStrategy,
            config={
                pushed_baseline.PUSHED_KEY: locations.serving,
                pushed_baseline.COMPARISON_GROUP_KEY: group,
                "folder": os.path.join(locations.artifacts, WARM_START_MODEL),
            },
            examples=examples,
            base_model=types.Channel(type=standard_artifacts.Model),
        )
    return lookup.with_id(WARM_START_MODEL)


def _trainer(
    config: PipelineConfig,
    transform: Transform,
    tuner: Tuner | None,
    warm_start_model: base_node.BaseNode | None,
    checkpoints: str,
    make_trainer: MakeTrainer,
) -> Trainer:
    return make_trainer(
        run_fn="models.training.trainer.run_fn",
        hyperparameters=tuner and tuner.outputs["best_hyperparameters"],
        base_model=warm_start_model and warm_start_model.outputs[warm_start.SOURCE_KEY],
        custom_config={
            **_custom_config(config, checkpoints, "models.training.trainer"),
            "export": config.export.model_dump(mode="json"),
            "comparison_group": _comparison_group(config),
        },
        **_training_inputs(transform),
    ).with_id(TRAINER)


def _training_inputs(transform: Transform) -> dict[str, Any]:
    """Returns the inputs of every step that trains."""
    return {
        "examples": transform.outputs["transformed_examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "train_args": trainer_pb2.TrainArgs(splits=[features.TRAIN]),
        "eval_args": trainer_pb2.EvalArgs(splits=[features.EVAL]),
    }


def _custom_config(config: PipelineConfig, checkpoints: str, module: str) -> dict[str, Any]:
    """Returns what the Trainer and the Tuner are told.

    Args:
        config: Configuration of the pipeline.
        checkpoints: Folder of the state of interrupted trainings.
        module: Dotted name of the step's module.
    """
    code = [module, MODELS[config.model.name].implementation]
    return {
        "model": config.model.model_dump(mode="json"),
        "training": config.training.options.model_dump(mode="json"),
        "checkpoints": checkpoints,
        # A cache key made from the names in a compiled job covers the model's code too.
        "code": code,
        "code_fingerprint": fingerprint(*code),
    }


def _comparison_group(config: PipelineConfig) -> str:
    """Returns the name of the models that may be compared: same dataset, split and metrics.

    Any other model may have been trained on the holdout.
    """
    unused = {"holdout_fraction"} if config.split.fold else set()
    split = config.split.model_dump(mode="json", exclude=unused)
    group = [config.data.name or config.data.dataset, split]
    if config.model.retrieves:
        # The metrics differ from those of a model that only predicts ratings.
        group.append(config.model.name)
    return json.dumps(group)


def _serving_validator(
    config: PipelineConfig, examples: types.BaseChannel, trainer: Trainer
) -> ServingValidator:
    binary = config.serving.binary
    return ServingValidator(
        model=trainer.outputs["model"],
        model_run=trainer.outputs["model_run"],
        examples=examples,
        model_name=config.serving.model_name,
        startup_seconds=config.serving.startup_seconds,
        max_difference=config.serving.max_difference,
        check_ops=config.serving.check_ops,
        binary=None if binary is None else str(binary),
        code_fingerprint=fingerprint("components.serving_validator.executor"),
    ).with_id(SERVING_VALIDATOR)


def _evaluation(
    config: PipelineConfig,
    examples: types.BaseChannel,
    model: types.BaseChannel,
    locations: Locations,
) -> tuple[base_node.BaseNode, Evaluator]:
    """Returns the lookup of the last pushed model as an artifact, and the Evaluator."""
    baseline = Resolver(
        strategy_class=pushed_baseline.PushedBaselineStrategy,
        config={
            pushed_baseline.PUSHED_KEY: locations.serving,
            pushed_baseline.COMPARISON_GROUP_KEY: _comparison_group(config),
            "folder": os.path.join(locations.artifacts, BASELINE_MODEL),
        },
        model=model,
        baseline_model=types.Channel(type=standard_artifacts.Model),
    ).with_id(BASELINE_MODEL)
    output = baseline.outputs[pushed_baseline.BASELINE_KEY]
    return baseline, _evaluator(Evaluator, config, examples, model, output)


def _in_cluster_evaluation(
    config: PipelineConfig,
    examples: types.BaseChannel,
    model: types.BaseChannel,
    locations: Locations,
) -> tuple[base_node.BaseNode, Evaluator]:
    """Returns the lookup of the last pushed model as a step, and the Evaluator."""
    baseline = pushed_baseline.PushedBaseline(
        model=model, pushed=locations.serving, comparison_group=_comparison_group(config)
    ).with_id(BASELINE_MODEL)
    output = baseline.outputs[pushed_baseline.BASELINE_KEY]
    return baseline, _evaluator(BaselineEvaluator, config, examples, model, output)


def _evaluator(
    kind: type[Evaluator],
    config: PipelineConfig,
    examples: types.BaseChannel,
    model: types.BaseChannel,
    baseline: types.BaseChannel,
) -> Evaluator:
    evaluator = kind(
        examples=examples,
        model=model,
        baseline_model=baseline,
        example_splits=[features.HOLDOUT],
        eval_config=evaluation_config(config.gate, config.model),
        module_path="pipeline.sliced_batches",
    ).with_id(EVALUATOR)
    _add_code_to_cache_key(
        evaluator,
        "evaluation",
        "pipeline.sliced_batches",
        "pipeline.rating_metrics",
        "pipeline.ranking_metrics",
        "pipeline.interval_metrics",
        "pipeline.model_outputs",
    )
    return evaluator


def _gate(
    config: PipelineConfig, locations: Locations, accepted_drift: str, **inputs: types.BaseChannel
) -> Gate:
    """Returns the last word on a model, which also makes the copy that is pushed."""
    return Gate(
        **inputs,
        limits=config.gate,
        pushed=locations.serving,
        comparison_group=_comparison_group(config),
        accepted_drift=accepted_drift,
        code_fingerprint=fingerprint("components.gate.component"),
        rmse_metric=RMSE if config.model.predicts_ratings else None,
        ndcg_metric=NDCG if config.model.retrieves else None,
        ndcg_change_error_metric=NDCG_CHANGE_ERROR if config.model.retrieves else None,
        liked_rating=config.model.liked_rating,
    ).with_id(GATE)


def _pusher(
    config: PipelineConfig,
    examples: types.BaseChannel,
    gate: Gate,
    serving_validator: ServingValidator,
    locations: Locations,
) -> AtomicPusher:
    """Returns the push of a model that both the Gate and the ServingValidator blessed."""
    pusher = AtomicPusher(
        model=gate.outputs[RELEASE_KEY],
        model_blessing=gate.outputs["blessing"],
        infra_blessing=serving_validator.outputs["blessing"],
        examples=examples,
        liked_rating=config.model.liked_rating,
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=locations.serving)
        ),
    ).with_id(PUSHER)
    _add_code_to_cache_key(pusher, "pushed_model", "components.atomic_pusher")
    return pusher


def _bulk_export(config: PipelineConfig, pusher: AtomicPusher) -> BulkExport:
    return BulkExport(
        pushed_model=pusher.outputs[standard_component_specs.PUSHED_MODEL_KEY],
        **config.bulk_export.model_dump(),
        code_fingerprint=fingerprint("pipeline.bulk_export_step"),
    ).with_id(BULK_EXPORT)


def _add_code_to_cache_key(component: base_node.BaseNode, output: str, *modules: str) -> None:
    """Makes a step run again when the code of modules changes, or what they import."""
    _add_to_cache_key(component, output, "code_fingerprint", fingerprint(*modules))


def _add_to_cache_key(component: base_node.BaseNode, output: str, name: str, value: str) -> None:
    """Makes a step run again when a value changes that none of its own settings contains."""
    component.outputs[output].additional_custom_properties[name] = value
