"""Storage that TensorFlow does not read: the clients of S3 do."""

from __future__ import annotations

from typing import Final

OBJECT_STORES: Final = ("s3", "minio")
"""Its schemes."""


def is_stored(uri: str) -> bool:
    """Whether a URI is of one of these schemes."""
    return uri.startswith(tuple(f"{scheme}://" for scheme in OBJECT_STORES))
