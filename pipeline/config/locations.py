"""Addresses outside this machine: folders of models, object storage and container images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

EXPECTED: Final = "pvc://CLAIM/PATH, gs://BUCKET/PATH or s3://BUCKET/PATH"

OBJECT_STORES: Final = ("s3", "minio")
"""Schemes of the storage that TensorFlow does not read; the clients of S3 do."""

Scheme = Literal["pvc", "gs", "s3"]

# Only characters that need no escaping in the configuration of a model server.
_LOCATION = re.compile(
    r"(?P<scheme>pvc|gs|s3)://(?P<holder>[a-z0-9][a-z0-9._-]{0,220})(?P<path>(/[A-Za-z0-9._=-]+)*)/?"
)
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")

# The first part of an image's name is a host only if it cannot be a part of a path.
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"((localhost|{_LABEL}(\.{_LABEL})+|\[[0-9A-Fa-f:]+\])(:\d+)?|{_LABEL}:\d+)"
_COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"({_HOST}/)?{_COMPONENT}(/{_COMPONENT})*"
    r"(:(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_MOVING_TAG = "latest"


@dataclass(frozen=True)
class ModelLocation:
    """A folder of versions in a persistent volume claim or a bucket.

    Attributes:
        scheme: Scheme of the URI: pvc, gs or s3.
        holder: Name of the claim or the bucket.
        path: Path from the root, without a slash at either end; empty for the root itself.
    """

    scheme: Scheme
    holder: str
    path: str

    @classmethod
    def parse(cls, text: str) -> ModelLocation:
        """Returns the location that a URI names.

        Raises:
            ValueError: The text is not such a URI.
        """
        match = _LOCATION.fullmatch(text)
        if match is None:
            raise ValueError(f"expected {EXPECTED}")
        scheme, holder, path = match["scheme"], match["holder"], match["path"].strip("/")
        if scheme == "pvc" and not _CLAIM.fullmatch(holder):
            raise ValueError(
                f"{holder} is not the name of a claim; expected lower-case letters, digits, -"
            )
        if {".", ".."} & set(path.split("/")):
            raise ValueError("expected a path from the root, without . and ..")
        return cls(cast(Scheme, scheme), holder, path)

    @property
    def uri(self) -> str:
        """URI of the location, without a slash at the end."""
        return f"{self.scheme}://{self.holder}" + (f"/{self.path}" if self.path else "")

    @property
    def in_bucket(self) -> bool:
        """Whether reading the location needs the network."""
        return self.scheme != "pvc"


def is_stored(uri: str) -> bool:
    """Returns whether a URI has one of the schemes of `OBJECT_STORES`."""
    return uri.startswith(tuple(f"{scheme}://" for scheme in OBJECT_STORES))


def image_problem(image: str, example: str) -> str | None:
    """Returns why a reference does not name one fixed build of an image; None if it does.

    Args:
        image: Reference to an image.
        example: Valid reference that the message shows.
    """
    match = _IMAGE.fullmatch(image)
    if match is None:
        return (
            f"not a valid image name; expected one such as {example}, with a path of lower-case "
            f"letters and digits, separated by ., _ or -"
        )
    if match["digest"] is not None or match["tag"] not in (None, _MOVING_TAG):
        return None
    kind = "a tag or a digest" if match["tag"] is None else "a tag that stays the same"
    return f"expected {kind}, as in {example}, so that every start runs the same build"
