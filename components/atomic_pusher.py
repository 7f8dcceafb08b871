"""AtomicPusher: pushes a blessed model so that a server sees all of it or nothing."""

from __future__ import annotations

import logging
import os
import shutil
import time
from typing import Final

from google.protobuf import json_format
from tfx.components.pusher import executor
from tfx.components.pusher.component import Pusher
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

from components.push_folder import is_complete, newest_first
from components.step_types import Artifacts, Properties
from serving.versions import version_number

_FINGERPRINT: Final = "fingerprint.pb"


class Executor(executor.Executor):
    """Copies the model beside its place and renames it, so a server never sees a part of one.

    Remote storage (`gs://`, `s3://`, `minio://`) has no atomic rename. There TFX's own order of
    copying applies: `saved_model.pb` comes last, and a version without it is incomplete.

    The same export is not pushed twice in a row. A step that was killed after its push, and is
    tried again, finds its version in the folder.
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
        present = pushed_already(model_path, base_directory)
        if present is not None:
            logging.info("%s is this export already: no new version is pushed", present)
            # A push that was killed may have left a part of the artifact.
            io_utils.copy_dir(model_path, pushed.uri)
            self._MarkPushed(pushed, present, os.path.basename(present))
            return
        if "://" in base_directory:
            super().Do(input_dict, output_dict, exec_properties)
            return
        version = str(next_version(base_directory))
        serving_path = os.path.join(base_directory, version)
        shutil.copytree(model_path, pushed.uri, dirs_exist_ok=True)
        # Last: once a server can see the version, nothing may fail any more.
        copy_whole(model_path, serving_path)
        self._MarkPushed(pushed, pushed_destination=serving_path, pushed_version=version)


class AtomicPusher(Pusher):
    """TFX's Pusher with new versions that appear complete or not at all."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def pushed_already(model_path: str, base_directory: str) -> str | None:
    """Returns the newest version's folder if it is complete and holds the same export, or None.

    TensorFlow writes a UUID into the fingerprint of every export, beside the hashes of the graph
    and the weights. So equal bytes are the same export; the same weights exported anew are not.

    Args:
        model_path: Folder of the export. One without a fingerprint equals no version.
        base_directory: Folder of the versions, on this machine or in cloud storage.
    """
    newest = next(newest_first(base_directory), None)
    if newest is None or not is_complete(newest):
        return None
    ours, theirs = _fingerprint(model_path), _fingerprint(newest)
    return newest if ours is not None and ours == theirs else None


def _fingerprint(saved_model: str) -> bytes | None:
    path = os.path.join(saved_model, _FINGERPRINT)
    if not fileio.exists(path):
        return None
    with fileio.open(path, "rb") as file:
        return bytes(file.read())


def next_version(base_directory: str) -> int:
    """Returns the time in seconds, or the newest version + 1 if the clock is behind it.

    A model server serves the highest number, so a new version must be higher than all others.
    """
    os.makedirs(base_directory, exist_ok=True)
    present = map(version_number, os.listdir(base_directory))
    return max([int(time.time()), *(version + 1 for version in present if version is not None)])


def copy_whole(source: str, target: str) -> None:
    """Copies a folder so that the target appears complete or not at all.

    Raises:
        OSError: The copy failed, for instance on a full disk. The partial copy is removed.
    """
    # A name that is not a number, so that a model server does not take it for a version.
    aside = os.path.join(os.path.dirname(target), f".incoming-{os.path.basename(target)}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        shutil.copytree(source, aside)
        os.rename(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
