"""A digest of the code that a step runs, so that cached results of other code are not reused."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import re
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_OUR_PACKAGES = ("pipeline", "components", "models", "serving", "kubeflow")
# Names within a path or a URI do not count.
_OUR_NAME = re.compile(rf"(?<![\w./-])(?:{'|'.join(_OUR_PACKAGES)})(?:\.[A-Za-z_]\w*)+")
# Trees that two threads make at once may end in a SystemError: CPython 3.11 counts the depth of
# both in one place.
_ONE_TREE_AT_A_TIME = threading.Lock()
_LIBRARIES = (
    "apache-beam",
    "grpcio",
    "numpy",
    "pyarrow",
    "tensorflow",
    "tensorflow-data-validation",
    "tensorflow-model-analysis",
    "tensorflow-recommenders",
    "tensorflow-serving-api",
    "tensorflow-transform",
    "tf-keras",
    "tfx",
    "tfx-bsl",
)


def fingerprint(*modules: str) -> str:
    """Returns the SHA-256 over the code that modules run.

    The code is the modules, all modules of this repository that they import, directly or not, and
    the versions of the libraries that do the work.

    Args:
        *modules: Dotted names of modules, such as `models.training.trainer`, or of something in a
            module, such as `models.training.trainer.run_fn`. A module from elsewhere, such as
            `tfx`, counts by its version only.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_reachable(modules).items()):
        digest.update(f"{name}\0".encode() + path.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library}=={importlib.metadata.version(library)}\0".encode())
    return digest.hexdigest()


def names_in(texts: Iterable[str]) -> list[str]:
    """Returns the dotted names in texts that belong to modules of this repository."""
    return sorted({name for text in texts for name in _OUR_NAME.findall(text)})


def _reachable(modules: Iterable[str]) -> dict[str, Path]:
    """Returns the source files by module name, following imports from the given modules."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] not in _OUR_PACKAGES:
            continue
        waiting.append(name.rpartition(".")[0])
        source = _source(name)
        if source is None:
            continue
        found[name] = source
        waiting.extend(_imports(source.read_bytes()))
    return found


def _source(name: str) -> Path | None:
    """Returns the file of a module; None for other names, such as that of a function.

    The file is found by its path: Python would import the parents, and TensorFlow with them.
    """
    path = _ROOT.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@cache
def _imports(source: bytes) -> list[str]:
    with _ONE_TREE_AT_A_TIME:
        tree = ast.parse(source)
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
    return names
