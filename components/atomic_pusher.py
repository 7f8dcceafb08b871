"""AtomicPusher: pushes a blessed model so that a server sees all of it or nothing."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
import uuid
from contextlib import nullcontext
from typing import ClassVar, Final

from google.protobuf import json_format
from tfx import types
from tfx.components.pusher import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.utils import io_utils

from components import pinned_version, push_folder
from components.errors import DataError
from components.push_folder import SAVED_MODEL, is_complete, is_same_export, newest_first
from components.step_types import Artifacts, Properties
from serving.versions import MAX_VERSION, version_number

EXAMPLES_KEY: Final = standard_component_specs.EXAMPLES_KEY
LIKED_RATING_KEY: Final = "liked_rating"

PIN_VERDICT_KEY: Final = "pin_verdict"
"""Custom property of a PushedModel: what a pin or a rollback meant for the push."""


class Executor(executor.Executor):
    """Copies the model beside its place and renames it, so a server never sees a part of one.

    Remote storage (`gs://`, `s3://`, `minio://`) has no atomic rename. There `saved_model.pb` is
    copied last, as in TFX, and a version without it is incomplete.

    The same export is not pushed twice in a row. A step that was killed after its push, and is
    tried again, finds its version in the folder. Two pushes into one folder of this machine take
    turns; in cloud storage each has a number of its own.
    """

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Pushes the model if every blessing says so; otherwise marks it as not pushed."""
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = json_format.Parse(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY],
            pusher_pb2.PushDestination(),
        )
        base_directory = destination.filesystem.base_directory
        model_path = self.GetModelPath(input_dict)
        lock = (
            nullcontext(False)
            if push_folder.is_remote(base_directory)
            else push_folder.locked(base_directory)
        )
        with lock as locked:
            for copy in push_folder.abandoned(base_directory) if locked else ():
                push_folder.discard(copy)
            self._push(model_path, base_directory, input_dict, output_dict, exec_properties)

    def _push(
        self,
        model_path: str,
        base_directory: str,
        input_dict: Artifacts,
        output_dict: Artifacts,
        exec_properties: Properties,
    ) -> None:
        """Pushes a blessed model, unless a pin or an equal version says no."""
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        pin = push_folder.read_pin(base_directory)
        if pin.version is not None:
            pinned = push_folder.version_folder(base_directory, pin.version)
            if is_same_export(pinned, model_path):
                self._mark_present(pushed, model_path, pinned)
                return
        verdict = None
        if pin.version is not None or pin.rejected:
            holdout = artifact_utils.get_single_uri(input_dict[EXAMPLES_KEY])
            verdict = pinned_version.judge(
                model_path, base_directory, pin, holdout, exec_properties[LIKED_RATING_KEY]
            )
        if verdict is not None:
            pushed.set_string_custom_property(PIN_VERDICT_KEY, verdict.reason)
            logging.info("%s", verdict.reason)
            if not verdict.may_replace:
                self._MarkNotPushed(pushed)
                return
        present = pushed_already(model_path, base_directory)
        if present is not None:
            logging.info("%s is this export already: no new version is pushed", present)
            self._mark_present(pushed, model_path, present)
        else:
            # First: once a server can see the version, nothing may fail any more.
            if push_folder.is_remote(base_directory):
                io_utils.copy_dir(model_path, pushed.uri)
                path = push_in_order(model_path, base_directory)
            else:
                shutil.copytree(model_path, pushed.uri, dirs_exist_ok=True)
                path = push_whole(model_path, base_directory)
            self._MarkPushed(pushed, path, os.path.basename(path))
        if verdict is not None:
            version = int(pushed.get_string_custom_property("pushed_version"))
            push_folder.write_pin(
                base_directory, pinned_version.lifted(pin, version, verdict.reason)
            )

    def _mark_present(self, pushed: types.Artifact, model_path: str, version: str) -> None:
        """Makes the artifact say that a version is this export."""
        # A push that was killed may have left a part of the artifact.
        io_utils.copy_dir(model_path, pushed.uri)
        self._MarkPushed(pushed, version, os.path.basename(version))


class AtomicPusherSpec(standard_component_specs.PusherSpec):
    """TFX's, with the ratings on which a new model is compared with a pinned one."""

    PARAMETERS: ClassVar = {
        **standard_component_specs.PusherSpec.PARAMETERS,
        LIKED_RATING_KEY: ExecutionParameter(type=float),
    }
    INPUTS: ClassVar = {
        **standard_component_specs.PusherSpec.INPUTS,
        EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
    }


class AtomicPusher(base_component.BaseComponent):
    """TFX's Pusher with new versions that appear complete or not at all."""

    SPEC_CLASS = AtomicPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        infra_blessing: types.BaseChannel,
        examples: types.BaseChannel,
        push_destination: pusher_pb2.PushDestination,
        liked_rating: float,
    ) -> None:
        """Constructs the component.

        Args:
            model: The Trainer's exported model.
            model_blessing: The Evaluator's verdict.
            infra_blessing: The ServingValidator's verdict.
            examples: Raw ratings with the split holdout.
            push_destination: Folder of the versions.
            liked_rating: Lowest rating of a liked movie.
        """
        super().__init__(
            AtomicPusherSpec(
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                examples=examples,
                push_destination=push_destination,
                liked_rating=liked_rating,
                # TFX's executor reads it as JSON.
                custom_config="null",
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )


def pushed_already(model_path: str, base_directory: str) -> str | None:
    """Returns the newest version's folder if it is complete and holds the same export, or None.

    Args:
        model_path: Folder of the export. One without a fingerprint equals no version.
        base_directory: Folder of the versions, on this machine or in cloud storage.
    """
    newest = next(newest_first(base_directory), None)
    if newest is None or not is_complete(newest):
        return None
    return newest if is_same_export(newest, model_path) else None


def next_version(base_directory: str) -> int:
    """Returns the time in seconds, or the newest version + 1 if the clock is behind it.

    A model server serves the highest number, so a new version must be higher than all others. Only
    a stray folder of the highest number that there can be is passed over, if it is no version.

    Args:
        base_directory: Folder of the versions, on this machine or in cloud storage.

    Raises:
        DataError: The newest version is the highest that there can be.
    """
    numbers = {name: version_number(name) for name in _names(base_directory)}
    newest = max(
        (
            number
            for name, number in numbers.items()
            if number is not None
            and (number < MAX_VERSION or is_complete(os.path.join(base_directory, name)))
        ),
        default=0,
    )
    if newest >= MAX_VERSION:
        raise DataError(
            f"{base_directory}: no version can be higher than {newest}; rename that folder to "
            "a lower number, or remove it"
        )
    return max(int(time.time()), newest + 1)


def push_whole(source: str, base_directory: str) -> str:
    """Copies a folder to a new version, so that it appears complete or not at all.

    The files are on the disk before the version appears: a crash of the machine leaves none empty.

    Args:
        source: Folder to copy.
        base_directory: Existing folder of the versions, on this machine.

    Returns:
        The folder of the version.

    Raises:
        OSError: The copy failed, for instance on a full disk. The partial copy is removed.
    """
    aside = os.path.join(base_directory, f"{push_folder.INCOMING}{uuid.uuid4().hex}")
    try:
        shutil.copytree(source, aside)
        push_folder.write_to_disk(aside)
        while True:
            target = os.path.join(base_directory, str(next_version(base_directory)))
            try:
                push_folder.rename(aside, target)
            except OSError as error:
                # Where a file system has no locks, another push may take the number first.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                return target
    except BaseException:
        push_folder.discard(aside)
        raise


def push_in_order(source: str, base_directory: str) -> str:
    """Copies a folder to a new version with the file that makes a version of it last.

    Of pushes at once each has a number of its own: TFX's Pusher takes the second of the push, and
    leaves a model out if there is such a version.

    Args:
        source: Folder to copy.
        base_directory: Folder of the versions in cloud storage, which has neither renames nor
            locks.

    Returns:
        The folder of the version.
    """
    number = next_version(base_directory)
    while True:
        target = os.path.join(base_directory, str(number))
        claim = f"{push_folder.INCOMING}{number}-{uuid.uuid4().hex}"
        path = os.path.join(base_directory, claim)
        io_utils.write_string_file(path, "")
        try:
            is_alone = _is_alone(base_directory, claim, number)
            if is_alone:
                io_utils.copy_dir(source, target, deny_regex_patterns=[rf"{SAVED_MODEL}$"])
        finally:
            fileio.remove(path)
        if is_alone:
            io_utils.copy_file(os.path.join(source, SAVED_MODEL), os.path.join(target, SAVED_MODEL))
            return target
        number = max(number + 1, next_version(base_directory))


def _is_alone(base_directory: str, claim: str, number: int) -> bool:
    """Returns whether no other push has claimed or taken a number.

    Whoever writes a claim before it lists them cannot miss an earlier one. Of two at once, one or
    both go on to another number.
    """
    names = _names(base_directory)
    others = [name for name in names if name.startswith(f"{push_folder.INCOMING}{number}-")]
    return others == [claim] and number not in map(version_number, names)


def _names(folder: str) -> list[str]:
    if not fileio.exists(folder):
        return []
    # Cloud storage ends the names of folders with a slash.
    return [name.rstrip("/") for name in fileio.listdir(folder)]
