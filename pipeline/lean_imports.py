"""Imports without the libraries that no step uses, which take a third of the start-up."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any, Final

# Libraries that others import if they are installed, and do without if not.
_UNUSED: Final = (
    # TFX's InfraValidator and Tuner. `tfx.components` has None in their place.
    "kubernetes",
    "keras_tuner",
    # Beam's source for MongoDB.
    "bson",
    "pymongo",
    # Completion in IPython.
    "jedi",
)

# What others import from modules that nothing else needs; they get None in its place.
_LEFT_OUT: Final = {
    # IPython's shell. TFMA has IPython for its widgets.
    "IPython.terminal.embed": "embed",
    # TFMA's metric of texts, which imports NLTK and most of SciPy.
    "tensorflow_model_analysis.metrics.rouge": "Rouge",
}

# Libraries that others import whole, and look into only in functions that few runs call.
_RARELY_USED: Final = frozenset(
    {
        # Beam's sources, and its file system for S3.
        "boto3",
        "google.cloud.bigquery",
        "google.cloud.pubsub",
        # Keras' preprocessing of images.
        "scipy.linalg",
        "scipy.ndimage",
        # TFMA's confidence intervals.
        "scipy.stats",
    }
)


@contextmanager
def lean_imports() -> Iterator[None]:
    """Spares imports inside the block what no step uses.

    Some libraries seem not to be installed, and others are loaded when they are first used. After
    the block all can be imported, but what was imported inside does without the former. This is
    for a process that only runs the pipeline, or reports on its runs.
    """
    # None is how Python is told that there is no such module.
    replaced: dict[str, ModuleType | None] = dict.fromkeys(_UNUSED)
    for module, name in _LEFT_OUT.items():
        replaced[module] = ModuleType(module)
        setattr(replaced[module], name, None)
    replaced = {name: module for name, module in replaced.items() if name not in sys.modules}
    sys.modules.update(replaced)  # type: ignore[arg-type]
    finder = _LazyFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in replaced:
            del sys.modules[name]


class _LazyFinder(MetaPathFinder):
    """Finds rarely used libraries for `_LazyLoader`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _RARELY_USED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LazyLoader(spec.loader)
        return spec


class _LazyLoader(Loader):
    """Loads a module when something is first looked up in it that only its code makes.

    `importlib.util.LazyLoader` loads it at any look, and AutoGraph looks for the file of every
    module there is.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._lock = RLock()
        self._loads = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        def load(name: str) -> Any:
            with self._lock:
                if vars(module).get("__getattr__") is load and not self._loads:
                    self._loads = True
                    try:
                        self._loader.exec_module(module)
                    finally:
                        self._loads = False
                    if vars(module)["__getattr__"] is load:
                        del module.__getattr__
            if vars(module).get("__getattr__") is load:
                # Its own code looks for what it has not made yet.
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return getattr(module, name)

        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        # Python calls it for what the module does not have.
        module.__getattr__ = load  # type: ignore[method-assign]
