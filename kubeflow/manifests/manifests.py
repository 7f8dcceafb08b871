"""Everything that serves a model in a cluster, as one YAML text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from kubeflow.manifests import deployment, kserve
from kubeflow.manifests.identity import Identity, Manifest
from pipeline import atomic_file
from pipeline.config.errors import UserError
from pipeline.config.locations import EXPECTED
from pipeline.config.tree import PipelineConfig

FILE_NAME: Final = "serving.yaml"

_KINDS = {"deployment": deployment.manifests, "kserve": kserve.manifests}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and what occurs twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def manifests(config: PipelineConfig) -> list[Manifest]:
    """The objects, in the order in which they are needed.

    Raises:
        UserError: the configuration does not say where the model is.
    """
    location = config.kubernetes.location
    if location is None:
        raise UserError(
            f"kubernetes.model_location: not set; expected {EXPECTED}, the folder of the versions"
        )
    identity = Identity(
        config.serving.model_name, config.kubernetes.namespace, config.kubernetes.kind == "kserve"
    )
    return _KINDS[config.kubernetes.kind](config.kubernetes, identity, location)


def render(config: PipelineConfig) -> str:
    """The objects as YAML, the same text for the same configuration.

    Raises:
        UserError: the configuration does not say where the model is.
    """
    return yaml.dump_all(
        manifests(config), Dumper=_Dumper, sort_keys=False, width=100, explicit_start=True
    )


def write(text: str, folder: Path) -> Path:
    """Writes `serving.yaml` into the folder, whole or not at all, and returns its path.

    Raises:
        UserError: the folder cannot be made or written.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_file.write_text(path, text)
    except OSError as error:
        raise UserError(f"-o {folder}: {error.strerror}") from error
    return path
