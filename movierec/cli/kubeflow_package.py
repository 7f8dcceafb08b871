"""Tells this project's top-level package `kubeflow` from others of the same name."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from pipeline.config.errors import UserError


def check_kubeflow_package() -> None:
    """Checks that `import kubeflow` finds this project's package.

    Raises:
        UserError: Python finds another package, such as the Kubeflow SDK's.
    """
    own = Path(__file__).resolve().parents[2] / "kubeflow"
    spec = find_spec("kubeflow")
    found = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    if found and own not in [folder.resolve() for folder in found]:
        raise UserError(
            f"{found[0]}: another package named kubeflow, such as the Kubeflow SDK, hides "
            "movierec's; run movierec in an environment without it"
        )
