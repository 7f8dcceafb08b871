"""Where a cluster finds the versions of a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

EXPECTED = "pvc://CLAIM/PATH, gs://BUCKET/PATH or s3://BUCKET/PATH"

Scheme = Literal["pvc", "gs", "s3"]

# Nothing that would have to be escaped in a model server's configuration.
_LOCATION = re.compile(
    r"(?P<scheme>pvc|gs|s3)://(?P<holder>[a-z0-9][a-z0-9._-]{0,220})(?P<path>(/[A-Za-z0-9._=-]+)*)/?"
)
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True)
class ModelLocation:
    """A folder of versions in a persistent volume claim or a bucket.

    Attributes:
        scheme: pvc, gs or s3.
        holder: the claim or the bucket.
        path: from its root, without a slash at either end; empty for the root itself.
    """

    scheme: Scheme
    holder: str
    path: str

    @classmethod
    def parse(cls, text: str) -> ModelLocation:
        """The location that a URI names.

        Raises:
            ValueError: it names none.
        """
        found = _LOCATION.fullmatch(text)
        if found is None:
            raise ValueError(f"expected {EXPECTED}")
        scheme, holder, path = found["scheme"], found["holder"], found["path"].strip("/")
        if scheme == "pvc" and not _CLAIM.fullmatch(holder):
            raise ValueError(f"{holder} is not the name of a claim: lower-case letters, digits, -")
        if {".", ".."} & set(path.split("/")):
            raise ValueError("a path from the root is expected, without . and ..")
        return cls(cast(Scheme, scheme), holder, path)

    @property
    def uri(self) -> str:
        """As text, without a slash at the end."""
        return f"{self.scheme}://{self.holder}" + (f"/{self.path}" if self.path else "")

    @property
    def in_bucket(self) -> bool:
        """Whether reading it needs the network."""
        return self.scheme != "pvc"
