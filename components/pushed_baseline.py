"""The baseline of the gate: the newest pushed model that can be compared with the candidate.

Every pushed model was blessed, so the push folder is all the memory that the gate needs, on this
machine and in a cluster. TFX's resolvers ask a metadata store, which Kubeflow does not have and
which forgets a model whose artifacts are moved or deleted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import ClassVar, Final

import ml_metadata
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.components.common import resolver
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import io_utils, path_utils

from components import push_folder
from components.push_folder import is_complete, is_same_export, newest_first
from components.step_types import Artifacts, Properties

BASELINE_KEY: Final = "baseline_model"
PUSHED_KEY: Final = "pushed"
COMPARISON_GROUP_KEY: Final = "comparison_group"


class Executor(base_executor.BaseExecutor):
    """Copies the baseline from the push folder, if there is one."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step; without a comparable version it leaves an empty model."""
        self._log_startup(input_dict, output_dict, exec_properties)
        candidate = artifact_utils.get_single_instance(
            input_dict[standard_component_specs.MODEL_KEY]
        )
        model = artifact_utils.get_single_instance(output_dict[BASELINE_KEY])
        fileio.makedirs(model.uri)
        version = baseline_for(
            path_utils.serving_model_path(candidate.uri),
            exec_properties[PUSHED_KEY],
            exec_properties[COMPARISON_GROUP_KEY],
        )
        if version is None:
            logging.info("no comparable model in %s", exec_properties[PUSHED_KEY])
            return
        logging.info("the baseline is %s", version)
        io_utils.copy_dir(version, path_utils.serving_model_dir(model.uri))


class PushedBaselineSpec(ComponentSpec):
    """Takes a candidate and a folder of versions; writes a model."""

    PARAMETERS: ClassVar = {
        PUSHED_KEY: ExecutionParameter(type=str),
        COMPARISON_GROUP_KEY: ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        standard_component_specs.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model)
    }
    OUTPUTS: ClassVar = {BASELINE_KEY: ChannelParameter(type=standard_artifacts.Model)}


class PushedBaseline(base_component.BaseComponent):
    """Finds the baseline as an ordinary step, for platforms without a metadata store."""

    SPEC_CLASS = PushedBaselineSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, model: types.BaseChannel, pushed: str, comparison_group: str) -> None:
        """Constructs the component.

        Args:
            model: Candidate, the Trainer's exported model.
            pushed: Folder that the Pusher pushes to.
            comparison_group: Group of the candidate. Models of other groups may have been
                trained on its holdout.
        """
        super().__init__(
            PushedBaselineSpec(
                model=model,
                pushed=pushed,
                comparison_group=comparison_group,
                baseline_model=types.Channel(type=standard_artifacts.Model),
            )
        )


class PushedBaselineStrategy(resolver.ResolverStrategy):
    """Finds the baseline by the same rule, as an artifact that stays the same while it is newest.

    The cache of the Evaluator goes by the artifact: a step that copied the model in each run would
    make each run evaluate again.

    Input: `model` (Model), the candidate. Output: `baseline_model` (Model), at most one.
    """

    def __init__(self, pushed: str, comparison_group: str, folder: str) -> None:
        """Constructs the strategy.

        Args:
            pushed: Folder that the Pusher pushes to.
            comparison_group: Group of the candidate.
            folder: Folder for links to versions, in the layout of a model artifact.
        """
        self._pushed = pushed
        self._group = comparison_group
        self._folder = folder

    def resolve_artifacts(
        self, store: ml_metadata.MetadataStore, input_dict: Artifacts
    ) -> Artifacts:
        """Returns the candidate and, if there is one, the baseline."""
        found: list[types.Artifact] = []
        for candidate in input_dict[standard_component_specs.MODEL_KEY]:
            export = path_utils.serving_model_path(candidate.uri)
            version = baseline_for(export, self._pushed, self._group)
            found += [] if version is None else [artifact_of(store, version, self._folder)]
        # If a key is missing, TFX drops all of them.
        return {**input_dict, BASELINE_KEY: found}


def artifact_of(store: ml_metadata.MetadataStore, version: str, folder: str) -> types.Artifact:
    """Returns a pushed version as a Model artifact, the same one at every call.

    Args:
        store: Store that knows the artifact or gets it.
        version: Folder of the version.
        folder: Folder for the link to it, in the layout of a model artifact.
    """
    uri = os.path.join(folder, os.path.basename(version))
    link = path_utils.serving_model_dir(uri)
    if not os.path.exists(link):
        os.makedirs(uri, exist_ok=True)
        if os.path.islink(link):
            os.unlink(link)
        # Relative, so that it still leads there after the workspace was moved as a whole. The
        # system goes up from where the link really is, which may be another volume.
        target = os.path.relpath(os.path.realpath(version), os.path.realpath(uri))
        os.symlink(target, link)
    # What is not live is no input of a step.
    live = metadata_store_pb2.Artifact.LIVE
    known = [one for one in store.get_artifacts_by_uri(uri) if one.state == live]
    model = standard_artifacts.Model()
    model.uri = uri
    if known:
        model.set_mlmd_artifact(known[0])
    else:
        model.mlmd_artifact.state = live
        model.type_id = store.get_artifact_type(model.type_name).id
        (model.id,) = store.put_artifacts([model.mlmd_artifact])
    return model


def baseline_for(export: str, pushed: str, group: str) -> str | None:
    """Returns the folder of the newest comparable version that is not the candidate itself.

    A candidate that was pushed already keeps the baseline that it was blessed against: compared
    with itself, any model would pass.

    Args:
        export: Folder of the candidate's SavedModel.
        pushed: Folder of the versions, on this machine or in cloud storage.
        group: Comparison group, as the Trainer wrote it into the exported model.
    """
    for version in comparable(pushed, group):
        if not is_same_export(version, export):
            return version
    return None


def newest_comparable(pushed: str, group: str) -> str | None:
    """Returns the folder of the newest complete version of a comparison group, or None.

    Args:
        pushed: Folder of the versions, on this machine or in cloud storage.
        group: Comparison group, as the Trainer wrote it into the exported model.
    """
    return next(comparable(pushed, group), None)


def why_none(pushed: str, group: str) -> str:
    """Returns the reason why no version can be the baseline, in one line.

    Args:
        pushed: Folder of the versions, on this machine or in cloud storage.
        group: Comparison group of the candidate.
    """
    others = {
        push_folder.comparison_group(version)
        for version in newest_first(pushed)
        if is_complete(version)
    } - {group}
    if not others:
        return "no blessed model to compare with"
    listed = ", ".join(sorted(other or "exports that do not say" for other in others))
    return (
        f"nothing is compared: no pushed model has the data, split and metrics of this run, "
        f"{group}; there are {listed}"
    )


def comparable(pushed: str, group: str) -> Iterator[str]:
    """Yields the folders of the complete versions of a comparison group, newest first."""
    for version in newest_first(pushed):
        if is_complete(version) and push_folder.comparison_group(version) == group:
            yield version
