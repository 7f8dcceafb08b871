"""The rendered manifests, as kube-score judges them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any, Final

import pytest

from kubeflow.manifests import render
from pipeline.config.tree import load_config

_ASSETS: Final = os.environ.get("KUBEBUILDER_ASSETS", "")
KUBE_SCORE: Final = shutil.which("kube-score", path=f"{_ASSETS}{os.pathsep}{os.environ['PATH']}")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        KUBE_SCORE is None, reason="kube-score is neither in KUBEBUILDER_ASSETS nor on the PATH"
    ),
]

DIGEST: Final = f"registry.example/tensorflow/serving@sha256:{'0' * 64}"
# Images are fixed builds, so a node may use the one that it has, also while a registry is away.
# Replicas are kept apart by topologySpreadConstraints, which the checker does not read.
ACCEPTED: Final = {"container-image-pull-policy", "deployment-has-host-podantiaffinity"}
WORST_ACCEPTABLE: Final = 10


def findings(manifests: str) -> dict[str, int]:
    """The lowest grade of each check, from 1, critical, to 10, all well."""
    process = subprocess.run(
        [str(KUBE_SCORE), "score", "--output-format", "json", "--enable-optional-test",
         "container-seccomp-profile", "-"],
        input=manifests,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    objects: list[dict[str, Any]] = json.loads(process.stdout)
    checks = [check for one in objects for check in one["checks"] if not check["skipped"]]
    assert len(checks) > 20, process.stderr
    return {
        name: min(check["grade"] for check in checks if check["check"]["id"] == name)
        for name in {check["check"]["id"] for check in checks}
    }


def rendered(**keys: str) -> str:
    return render.render(load_config(None, [f"kubernetes.{k}={v}" for k, v in keys.items()]))


@pytest.mark.parametrize("location", ["pvc://claim/a/movierec", "gs://bucket/a/movierec"])
def test_the_policy_checker_finds_nothing_serious(location: str) -> None:
    found = findings(rendered(model_location=location, image=DIGEST))
    assert {name for name, grade in found.items() if grade < WORST_ACCEPTABLE} <= ACCEPTED


def test_the_policy_checker_finds_what_is_wrong() -> None:
    text = rendered(model_location="pvc://claim/a/movierec", image=DIGEST)
    broken = text.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
    assert broken != text
    assert findings(broken)["container-security-context-readonlyrootfilesystem"] == 1
