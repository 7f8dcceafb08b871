"""PushedBaseline: finds the baseline of the regression gate among the pushed models."""

from __future__ import annotations

import logging
import os
from typing import ClassVar, Final

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils, path_utils

from components.push_folder import is_complete, newest_first
from components.step_types import Artifacts, Properties
from models.export.saved_model import COMPARISON_GROUP_FILE

BASELINE_KEY: Final = "baseline_model"
PUSHED_KEY: Final = "pushed"
COMPARISON_GROUP_KEY: Final = "comparison_group"


class Executor(base_executor.BaseExecutor):
    """Copies the newest comparable version of the push folder, if there is one."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step; without a comparable version it leaves an empty model."""
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(output_dict[BASELINE_KEY])
        fileio.makedirs(model.uri)
        version = newest_comparable(
            exec_properties[PUSHED_KEY], exec_properties[COMPARISON_GROUP_KEY]
        )
        if version is None:
            logging.info("no comparable model in %s", exec_properties[PUSHED_KEY])
            return
        logging.info("the baseline is %s", version)
        io_utils.copy_dir(version, path_utils.serving_model_dir(model.uri))


class PushedBaselineSpec(ComponentSpec):
    """Takes a folder of versions; writes a model."""

    PARAMETERS: ClassVar = {
        PUSHED_KEY: ExecutionParameter(type=str),
        COMPARISON_GROUP_KEY: ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar = {BASELINE_KEY: ChannelParameter(type=standard_artifacts.Model)}


class PushedBaseline(base_component.BaseComponent):
    """Finds the newest pushed model that can be compared with the candidate.

    Every pushed model was blessed, so the push folder is all the memory that a cluster needs.
    TFX's resolvers ask a metadata store instead, which Kubeflow does not have.
    """

    SPEC_CLASS = PushedBaselineSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, pushed: str, comparison_group: str) -> None:
        """Constructs the component.

        Args:
            pushed: Folder that the Pusher pushes to.
            comparison_group: Group of the candidate. Models of other groups may have been
                trained on its holdout.
        """
        super().__init__(
            PushedBaselineSpec(
                pushed=pushed,
                comparison_group=comparison_group,
                baseline_model=types.Channel(type=standard_artifacts.Model),
            )
        )


def newest_comparable(pushed: str, group: str) -> str | None:
    """Returns the folder of the newest complete version of a comparison group, or None.

    Args:
        pushed: Folder of the versions, on this machine or in cloud storage.
        group: Comparison group, as the Trainer wrote it into the exported model.
    """
    for version in newest_first(pushed):
        if is_complete(version) and _group(version) == group:
            return version
    return None


def _group(version: str) -> str | None:
    """Returns the comparison group of an exported model; None if the export does not say."""
    path = os.path.join(version, COMPARISON_GROUP_FILE)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "r") as file:
        return str(file.read())
