"""BulkExport: a step that writes in bulk what the model that was just pushed answers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import ClassVar, Final

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.experimental import simple_artifacts
from tfx.utils import io_utils

from components.step_types import Artifacts, Properties
from pipeline import bulk_export

EXPORT_KEY: Final = "bulk_export"
RECOMMENDATIONS_KEY: Final = "recommendations"
VECTORS_KEY: Final = "vectors"
K_KEY: Final = "k"
FINGERPRINT_KEY: Final = "code_fingerprint"
EXPORTED_KEY: Final = "exported"
"""Custom property of the output: the names of the folders that it has, separated by commas."""

_PUSHED: Final = "pushed"
_VERSION: Final = "pushed_version"


class Executor(base_executor.BaseExecutor):
    """Exports the pushed model; where none was pushed, it exports nothing."""

    def Do(
        self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties
    ) -> None:
        """Runs the step."""
        self._log_startup(input_dict, output_dict, exec_properties)
        model = artifact_utils.get_single_instance(
            input_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        target = artifact_utils.get_single_instance(output_dict[EXPORT_KEY])
        if not model.get_int_custom_property(_PUSHED):
            target.set_string_custom_property(EXPORTED_KEY, "")
            return
        with tempfile.TemporaryDirectory(prefix="movierec-export-") as temporary:
            # The artifact has the model of this run, and a name that is no version.
            version = Path(temporary, model.get_string_custom_property(_VERSION))
            io_utils.copy_dir(model.uri, str(version))
            exports = {}
            if exec_properties[RECOMMENDATIONS_KEY]:
                k = exec_properties[K_KEY]
                exports[RECOMMENDATIONS_KEY] = bulk_export.recommendations(version, k)
            if exec_properties[VECTORS_KEY]:
                exports[VECTORS_KEY] = bulk_export.vectors(version)
            for name, export in exports.items():
                _write(export, target.uri, name, temporary)
        target.set_string_custom_property(EXPORTED_KEY, ",".join(exports))


class BulkExportSpec(ComponentSpec):
    """Takes the pushed model; writes folders of Parquet files."""

    PARAMETERS: ClassVar = {
        RECOMMENDATIONS_KEY: ExecutionParameter(type=int),
        VECTORS_KEY: ExecutionParameter(type=int),
        K_KEY: ExecutionParameter(type=int),
        FINGERPRINT_KEY: ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        standard_component_specs.PUSHED_MODEL_KEY: ChannelParameter(
            type=standard_artifacts.PushedModel
        )
    }
    OUTPUTS: ClassVar = {EXPORT_KEY: ChannelParameter(type=simple_artifacts.Dataset)}


class BulkExport(base_component.BaseComponent):
    """Writes the lists of all users, and the vectors, of a model that was just pushed."""

    SPEC_CLASS = BulkExportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        pushed_model: types.BaseChannel,
        recommendations: bool,
        vectors: bool,
        k: int,
        code_fingerprint: str,
    ) -> None:
        """Constructs the component.

        Args:
            pushed_model: Output of the Pusher.
            recommendations: Whether to export the recommendations of every user.
            vectors: Whether to export the vectors of users and movies.
            k: Number of movies for each user.
            code_fingerprint: Digest of the step's code, which makes it run again after a change.
        """
        super().__init__(
            BulkExportSpec(
                pushed_model=pushed_model,
                recommendations=int(recommendations),
                vectors=int(vectors),
                k=k,
                code_fingerprint=code_fingerprint,
                bulk_export=types.Channel(type=simple_artifacts.Dataset),
            )
        )


def _write(export: bulk_export.Export, folder: str, name: str, temporary: str) -> None:
    """Writes an export below a folder, whole or not at all where the storage can rename.

    Storage without folders cannot. There the description comes last, and an export without one is
    not complete.

    Args:
        export: What to write.
        folder: Folder of the artifact, on this machine or in cloud storage.
        name: Name of the export below it.
        temporary: Folder of this machine that the step removes.
    """
    if "://" not in folder:
        bulk_export.write(export, Path(folder, name), lambda: None)
        return
    local = Path(temporary, name)
    bulk_export.write(export, local, lambda: None)
    files = [path for path in sorted(local.rglob("*")) if path.is_file()]
    for path in sorted(files, key=lambda path: path.name == bulk_export.DESCRIPTION_FILE):
        target = os.path.join(folder, name, *path.relative_to(local).parts)
        fileio.makedirs(os.path.dirname(target))
        io_utils.copy_file(str(path), target)
