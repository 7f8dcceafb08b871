"""Renders the manifests of a model server as one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from kubeflow.manifests import deployment, kserve
from kubeflow.manifests.metadata import Manifest, ModelServerMetadata
from pipeline import atomic_file
from pipeline.config.errors import UserError
from pipeline.config.locations import EXPECTED
from pipeline.config.tree import PipelineConfig

FILE_NAME: Final = "serving.yaml"

_KINDS: Final = {"deployment": deployment.manifests, "kserve": kserve.manifests}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and no anchors or aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def manifests(config: PipelineConfig) -> list[Manifest]:
    """Returns the objects, in the order in which they are needed.

    Raises:
        UserError: `kubernetes.model_location` is not set.
    """
    location = config.kubernetes.location
    if location is None:
        raise UserError(
            f"kubernetes.model_location: not set; expected {EXPECTED}, the folder of the versions"
        )
    kind = config.kubernetes.kind
    metadata = ModelServerMetadata(
        config.serving.model_name, config.kubernetes.namespace, kserve=kind == "kserve"
    )
    return _KINDS[kind](config.kubernetes, metadata, location)


def render(config: PipelineConfig) -> str:
    """Returns the objects as YAML, the same text for the same configuration.

    Raises:
        UserError: `kubernetes.model_location` is not set.
    """
    return yaml.dump_all(
        manifests(config), Dumper=_Dumper, sort_keys=False, width=100, explicit_start=True
    )


def write(text: str, folder: Path) -> Path:
    """Writes `serving.yaml` into the folder, whole or not at all, and returns its path.

    Raises:
        UserError: The folder cannot be created or written to.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_file.write_text(path, text)
    except OSError as error:
        raise UserError(f"-o {folder}: {error.strerror}") from error
    return path
