"""Imports without the libraries that no step uses, which take a fifth of the start-up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Libraries that others import if they are installed, and do without if not.
_UNUSED: Final = (
    # TFX's InfraValidator and Tuner. `tfx.components` has None in their place.
    "kubernetes",
    "keras_tuner",
    # Beam's source for MongoDB.
    "bson",
    "pymongo",
    # A part of NLTK, which TFMA has for its metrics of texts.
    "sklearn",
)


@contextmanager
def lean_imports() -> Iterator[None]:
    """Spares imports inside the block what no step uses.

    Some libraries seem not to be installed. After the block they can be imported, but what was
    imported inside does without them. This is for a process that only runs the pipeline.
    """
    hidden = [name for name in _UNUSED if name not in sys.modules]
    # This is how Python is told that there is no such module.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
