"""DriftValidator: stops a run whose ratings have moved from those of the last blessed model."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.experimental import simple_artifacts
from tfx.utils import io_utils

from components import pushed_baseline
from components.drift.history import history_moves
from components.drift.limits import DriftLimits
from components.drift.moves import moves, span_move
from components.drift.report import (
    PROFILES,
    SAMPLE_NAMES,
    STATISTICS_NAMES,
    DriftReport,
    Move,
    compared_with,
    table,
)
from components.errors import DataError
from components.gate import release
from components.movielens_example_gen import rating_sample
from components.movielens_example_gen import report as ingest_report
from components.step_types import Artifacts, Properties

DRIFT_KEY: Final = "drift"
LIMITS_KEY: Final = "limits"
ACCEPTED_KEY: Final = "accepted_drift"

_REPORT_FILE: Final = "drift.json"
_SCHEMA_FILE: Final = "schema.pbtxt"


class Executor(base_executor.BaseExecutor):
    """Compares statistics and a sample of the ratings with those inside the newest pushed model."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step.

        Raises:
            DataError: The data has moved too far, and nobody accepted it: the message has a line
                for each such move. Or a file of the last blessed model is damaged.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed, group = (
            exec_properties[key]
            for key in (pushed_baseline.PUSHED_KEY, pushed_baseline.COMPARISON_GROUP_KEY)
        )
        version = pushed_baseline.newest_comparable(pushed, group)
        examples = artifact_utils.get_single_uri(input_dict[standard_component_specs.EXAMPLES_KEY])
        limits = DriftLimits.model_validate_json(exec_properties[LIMITS_KEY])
        found: list[Move] = []
        if version is None:
            not_compared = [pushed_baseline.why_none(pushed, group)]
        else:
            # Evaluator and Gate need it after hours of training. A damaged one is told before.
            release.check_model(version)
            release.read_record(version)
            found, not_compared = _compared(version, input_dict, examples, limits)
        spans = ingest_report.read(examples).spans
        found += span_move(spans, limits, every=version is None)
        for line in not_compared:
            logging.info("%s", line)
        names = exec_properties[ACCEPTED_KEY].split(",")
        report = DriftReport(
            version=None if version is None else os.path.basename(version),
            moves=tuple(found),
            accepted=tuple(move.name for move in found if move.exceeded and move.name in names),
            not_compared=tuple(not_compared),
        )
        folder = artifact_utils.get_single_uri(output_dict[DRIFT_KEY])
        io_utils.write_string_file(
            os.path.join(folder, _REPORT_FILE), report.model_dump_json(indent=2)
        )
        _check(report)


class DriftValidatorSpec(ComponentSpec):
    """Takes statistics and a folder of versions; writes a report."""

    PARAMETERS: ClassVar = {
        LIMITS_KEY: ExecutionParameter(type=str),
        ACCEPTED_KEY: ExecutionParameter(type=str),
        pushed_baseline.PUSHED_KEY: ExecutionParameter(type=str),
        pushed_baseline.COMPARISON_GROUP_KEY: ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        standard_component_specs.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        standard_component_specs.STATISTICS_KEY: ChannelParameter(
            type=standard_artifacts.ExampleStatistics
        ),
        standard_component_specs.SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS: ClassVar = {DRIFT_KEY: ChannelParameter(type=simple_artifacts.Metrics)}


class DriftValidator(base_component.BaseComponent):
    """Stops the run before it trains on data that the last blessed model did not know.

    TFX's DistributionValidator compares two artifacts of statistics. Here the earlier statistics
    are inside the pushed model, and counts and times are compared besides distributions.
    """

    SPEC_CLASS = DriftValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        schema: types.BaseChannel,
        limits: DriftLimits,
        pushed: str,
        comparison_group: str,
        accepted_drift: str,
    ) -> None:
        """Constructs the component.

        Args:
            examples: This run's ratings, with the report on their spans.
            statistics: Statistics of this run's ratings.
            schema: Schema of the ratings.
            limits: Largest moves.
            pushed: Folder that the Pusher pushes to.
            comparison_group: Group of the model to be trained.
            accepted_drift: Names of moves that a person accepts for this run, separated by commas.
        """
        super().__init__(
            DriftValidatorSpec(
                examples=examples,
                statistics=statistics,
                schema=schema,
                limits=limits.model_dump_json(),
                pushed=pushed,
                comparison_group=comparison_group,
                accepted_drift=accepted_drift,
                drift=types.Channel(type=simple_artifacts.Metrics),
            )
        )


def read_report(folder: str) -> DriftReport:
    """Returns the report, from the artifact's folder."""
    return DriftReport.model_validate_json(
        io_utils.read_string_file(os.path.join(folder, _REPORT_FILE))
    )


def _compared(
    version: str, inputs: Artifacts, examples: str, limits: DriftLimits
) -> tuple[list[Move], list[str]]:
    """Returns the moves since a version, and a line for each part of it that tells none.

    Raises:
        DataError: A file of the version is damaged.
    """
    found: list[Move] = []
    lines = []
    number = os.path.basename(version)
    before = release.read_statistics(version)
    if before is None:
        lines.append(_missing(number, "statistics of its data", STATISTICS_NAMES))
    else:
        schema = artifact_utils.get_single_uri(inputs[standard_component_specs.SCHEMA_KEY])
        found += moves(
            before,
            release.train_statistics(inputs[standard_component_specs.STATISTICS_KEY]),
            io_utils.SchemaReader().read(os.path.join(schema, _SCHEMA_FILE)),
            limits,
        )
    sample = release.read_sample(version)
    if sample is None:
        lines.append(_missing(number, "a sample of its ratings", SAMPLE_NAMES))
    else:
        now = rating_sample.read(examples)
        found += history_moves(sample, now, limits)
        if sample.users is None:
            lines.append(_missing(number, "profiles of its users", [PROFILES]))
        if not np.isin(sample.keys, now.keys).any():
            lines.append(
                f"no user and movie of version {number} is among this run's: changed, titles and "
                f"{PROFILES} are not compared"
            )
    return found, lines


def _missing(number: str, what: str, names: Sequence[str]) -> str:
    return (
        f"an earlier release pushed version {number} without {what}: {', '.join(names)} are not "
        "compared"
    )


def _check(report: DriftReport) -> None:
    exceeded = [move for move in report.moves if move.exceeded]
    refused = [move for move in exceeded if move.name not in report.accepted]
    if refused:
        names = ",".join(move.name for move in exceeded)
        raise DataError(
            f"the data has moved too far from that of {compared_with(report.version, refused)}; "
            f"if the change is meant, --accept-drift {names} accepts it once (compiled jobs: "
            f"--parameter accept_drift={names}):",
            table(refused),
        )
