"""AtomicPusher: pushes a blessed model so that a server sees all of it or nothing."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import time
import uuid
from typing import Final

from google.protobuf import json_format
from tfx import types
from tfx.components.pusher import executor
from tfx.components.pusher.component import Pusher
from tfx.dsl.components.base import executor_spec
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

from components import push_folder
from components.errors import DataError
from components.push_folder import is_complete, newest_first
from components.step_types import Artifacts, Properties
from serving.versions import MAX_VERSION, version_number

_FINGERPRINT: Final = "fingerprint.pb"


class Executor(executor.Executor):
    """Copies the model beside its place and renames it, so a server never sees a part of one.

    Remote storage (`gs://`, `s3://`, `minio://`) has no atomic rename. There TFX's own order of
    copying applies: `saved_model.pb` comes last, and a version without it is incomplete.

    The same export is not pushed twice in a row. A step that was killed after its push, and is
    tried again, finds its version in the folder. Two pushes into one folder take turns.
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
        if push_folder.is_remote(base_directory):
            if not self._mark_if_present(model_path, base_directory, pushed):
                super().Do(input_dict, output_dict, exec_properties)
            return
        with push_folder.locked(base_directory) as locked:
            for copy in push_folder.abandoned(base_directory) if locked else ():
                shutil.rmtree(copy, ignore_errors=True)
            if not self._mark_if_present(model_path, base_directory, pushed):
                shutil.copytree(model_path, pushed.uri, dirs_exist_ok=True)
                # Last: once a server can see the version, nothing may fail any more.
                path = push_whole(model_path, base_directory)
                self._MarkPushed(pushed, path, os.path.basename(path))

    def _mark_if_present(
        self, model_path: str, base_directory: str, pushed: types.Artifact
    ) -> bool:
        """Returns whether the newest version is this export, which the artifact then says."""
        present = pushed_already(model_path, base_directory)
        if present is None:
            return False
        logging.info("%s is this export already: no new version is pushed", present)
        # A push that was killed may have left a part of the artifact.
        io_utils.copy_dir(model_path, pushed.uri)
        self._MarkPushed(pushed, present, os.path.basename(present))
        return True


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

    Raises:
        DataError: The newest version is the highest that there can be.
    """
    present = map(version_number, os.listdir(base_directory))
    newest = max((version for version in present if version is not None), default=0)
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
        shutil.rmtree(aside, ignore_errors=True)
        raise
