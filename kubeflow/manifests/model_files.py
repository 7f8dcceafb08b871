"""How a model's versions come to where the server looks for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kubeflow.manifests.identity import Manifest
from pipeline.config.locations import ModelLocation

_CLAIM_VOLUME = "models"
_CLAIM_FOLDER = "/models"

# Fixed by KServe: the variable that names what it is to copy, and where the copy lies.
_STORAGE_VARIABLE: Final = "STORAGE_URI"
_COPY_FOLDER: Final = "/mnt/models"


@dataclass(frozen=True)
class ModelFiles:
    """What the pod needs for it.

    Attributes:
        base_path: the folder of versions, as the server sees it.
        volumes: of the pod.
        mounts: folders by volume, read-only.
        environment: of the container.
    """

    base_path: str
    volumes: tuple[Manifest, ...] = ()
    mounts: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def read_by_the_server(location: ModelLocation) -> ModelFiles:
    """From a claim that the pod mounts, or from a bucket over the network."""
    if location.in_bucket:
        return ModelFiles(location.uri)
    # The claim as a whole: the folder need not exist before the first model is pushed.
    claim = {"claimName": location.holder, "readOnly": True}
    return ModelFiles(
        base_path=f"{_CLAIM_FOLDER}/{location.path}".rstrip("/"),
        volumes=({"name": _CLAIM_VOLUME, "persistentVolumeClaim": claim},),
        mounts={_CLAIM_VOLUME: _CLAIM_FOLDER},
    )


def copied_by_kserve(location: ModelLocation) -> ModelFiles:
    """From a bucket, into the pod, before the server starts."""
    return ModelFiles(_COPY_FOLDER, environment={_STORAGE_VARIABLE: location.uri})
