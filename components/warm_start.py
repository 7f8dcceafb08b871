"""The model that a warm start begins with: the newest pushed one of other, not newer ratings.

A model never starts from one of the same ratings: then each run on unchanged data would train anew,
and none could come from the cache. One of newer ratings may have been trained on this holdout.
"""

from __future__ import annotations

import logging
import os
from typing import ClassVar, Final

import ml_metadata
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from components.gate import release
from components.movielens_example_gen import report
from components.pushed_baseline import COMPARISON_GROUP_KEY, PUSHED_KEY, artifact_of, comparable
from components.step_types import Artifacts, Properties
from models.export.saved_model import TRAINING_WEIGHTS_FILE

SOURCE_KEY: Final = "base_model"


def source_for(examples: str, pushed: str, group: str) -> str | None:
    """Returns the folder of the version to start from, or None.

    Args:
        examples: Folder of the examples artifact.
        pushed: Folder of the versions, on this machine or in cloud storage.
        group: Comparison group of the model to train.
    """
    ratings = report.read(examples)
    for version in comparable(pushed, group):
        record = release.read_record(version)
        if (
            record is not None
            and record.data_fingerprint != ratings.fingerprint
            and record.trained_until is not None
            and record.trained_until <= ratings.trained_until
            and fileio.exists(os.path.join(version, TRAINING_WEIGHTS_FILE))
        ):
            return version
    return None


class Executor(base_executor.BaseExecutor):
    """Copies the weights to start from out of the push folder, if there are some."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step; without a source it leaves an empty model."""
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(output_dict[SOURCE_KEY])
        fileio.makedirs(model.uri)
        version = source_for(
            artifact_utils.get_single_uri(input_dict[standard_component_specs.EXAMPLES_KEY]),
            exec_properties[PUSHED_KEY],
            exec_properties[COMPARISON_GROUP_KEY],
        )
        if version is None:
            logging.info("no model to start from in %s", exec_properties[PUSHED_KEY])
            return
        logging.info("the training starts from %s", version)
        target = os.path.join(path_utils.serving_model_dir(model.uri), TRAINING_WEIGHTS_FILE)
        fileio.makedirs(os.path.dirname(target))
        with fileio.open(os.path.join(version, TRAINING_WEIGHTS_FILE), "rb") as weights:
            content = weights.read()
        with fileio.open(target, "wb") as file:
            file.write(content)


class WarmStartModelSpec(ComponentSpec):
    """Takes the ratings and a folder of versions; writes a model with nothing but its weights."""

    PARAMETERS: ClassVar = {
        PUSHED_KEY: ExecutionParameter(type=str),
        COMPARISON_GROUP_KEY: ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        standard_component_specs.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples)
    }
    OUTPUTS: ClassVar = {SOURCE_KEY: ChannelParameter(type=standard_artifacts.Model)}


class WarmStartModel(base_component.BaseComponent):
    """Finds the model to start from as an ordinary step, for platforms without a metadata store."""

    SPEC_CLASS = WarmStartModelSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, examples: types.BaseChannel, pushed: str, comparison_group: str) -> None:
        """Constructs the component.

        Args:
            examples: Ratings to train on, with the report beside them.
            pushed: Folder that the Pusher pushes to.
            comparison_group: Group of the model to train.
        """
        super().__init__(
            WarmStartModelSpec(
                examples=examples,
                pushed=pushed,
                comparison_group=comparison_group,
                base_model=types.Channel(type=standard_artifacts.Model),
            )
        )


class WarmStartStrategy(resolver.ResolverStrategy):
    """Finds the model by the same rule, as an artifact that is the same for the same version.

    Input: `examples` (Examples). Output: `base_model` (Model), at most one.
    """

    def __init__(self, pushed: str, comparison_group: str, folder: str) -> None:
        """Constructs the strategy.

        Args:
            pushed: Folder that the Pusher pushes to.
            comparison_group: Group of the model to train.
            folder: Folder for links to versions, in the layout of a model artifact.
        """
        self._pushed = pushed
        self._group = comparison_group
        self._folder = folder

    def resolve_artifacts(
        self, store: ml_metadata.MetadataStore, input_dict: Artifacts
    ) -> Artifacts:
        """Returns the ratings and, if there is one, the model to start from."""
        found: list[types.Artifact] = []
        for examples in input_dict[standard_component_specs.EXAMPLES_KEY]:
            version = source_for(examples.uri, self._pushed, self._group)
            found += [] if version is None else [artifact_of(store, version, self._folder)]
        # If a key is missing, TFX drops all of them.
        return {**input_dict, SOURCE_KEY: found}
