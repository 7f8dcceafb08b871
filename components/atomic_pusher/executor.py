"""The work of AtomicPusher."""

from __future__ import annotations

import logging
import os
import shutil
import time
from typing import Any, Final

from google.protobuf import json_format
from tfx import types
from tfx.components.pusher import executor
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

from components.push_folder import is_complete, newest_first
from serving.versions import version_number

_FINGERPRINT: Final = "fingerprint.pb"


class Executor(executor.Executor):
    """Copies the model beside its place and renames it, so a server never sees half of one.

    A remote destination (`gs://`, `s3://`, `minio://`) has no atomic rename; there TFX's own order
    applies, which copies `saved_model.pb` last: a version without it is still on its way.

    The same export is not pushed twice in a row: a step that was ended after its push, and is
    tried again, finds its version there.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if every blessing given says so; otherwise marks it as not pushed."""
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
        there = pushed_already(model_path, base_directory)
        if there is not None:
            logging.info("%s is this export already: no new version is pushed", there)
            # Of a push that was ended the artifact may hold a part.
            io_utils.copy_dir(model_path, pushed.uri)
            self._MarkPushed(pushed, there, os.path.basename(there))
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


def pushed_already(model_path: str, base_directory: str) -> str | None:
    """The folder of the newest version, if it is complete and of the same export.

    TensorFlow gives every export a UUID, in its fingerprint beside the hashes of the graph and the
    weights: equal bytes are the same export, and the same weights exported anew are another.

    Args:
        model_path: the export. Without a fingerprint it is like no version.
        base_directory: the folder of versions, of this machine or of a cloud's storage.
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
    """The time in seconds, or one more than the newest version where the clock stands behind it.

    A model server serves the highest number, so a new version must be higher than all others.
    """
    os.makedirs(base_directory, exist_ok=True)
    present = map(version_number, os.listdir(base_directory))
    return max([int(time.time()), *(version + 1 for version in present if version is not None)])


def copy_whole(source: str, target: str) -> None:
    """Copies a folder so that the target appears complete or not at all.

    Raises:
        OSError: the copy failed, for instance on a full disk; what was copied is removed.
    """
    # Not a number, so a model server takes it for no version.
    aside = os.path.join(os.path.dirname(target), f".incoming-{os.path.basename(target)}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        shutil.copytree(source, aside)
        os.rename(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
