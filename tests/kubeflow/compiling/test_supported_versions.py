"""A compiled file, read as strictly as the oldest and the newest supported servers read it.

A server and its drivers are built with messages that the registry has as Python packages, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.targets import Target
from pipeline.config.tree import load_config

pytestmark = pytest.mark.slow

# By the version of Kubeflow Pipelines, the packages that have its messages.
RELEASES = {
    "2.3.0": ("kfp-pipeline-spec==0.3.0", "kfp-kubernetes==1.3.0", "protobuf==4.25.*"),
    "2.17.0": ("kfp-pipeline-spec==2.17.0", "kfp-kubernetes==2.17.0", "protobuf==6.33.*"),
}
_, NEWEST = RELEASES
UV = Path(__file__).parents[3] / ".bootstrap" / "bin" / "uv"
# What uv says where the index does not answer at all.
UNREACHABLE = "error sending request"

EVERYTHING_OF_A_POD = (
    "training.accelerator=NVIDIA_TESLA_T4",
    "training.accelerator_count=2",
    "tuning.enabled=true",
    "kfp.cpu_limit=4",
    "kfp.memory_limit=16Gi",
    'kfp.node_selector={gpu = "t4"}',
    'kfp.tolerations=[{key = "gpu", operator = "Equal", value = "yes", effect = "NoSchedule"}]',
    "kfp.storage_endpoint=http://minio-service.kubeflow:9000",
    "kfp.storage_secret=mlpipeline-minio-artifact",
)
SEVERAL_WORKERS = ("training.workers=3",)

# Both kinds of executors are no messages inside of theirs: the parser would take anything there.
READER = """
import json, sys
folder = sys.argv[1]
sys.path[:0] = [folder]
sys.path.append(folder + "/kfp/kubernetes")
from google.protobuf.json_format import ParseDict
from kfp.pipeline_spec import pipeline_spec_pb2 as messages
from kubernetes_executor_config_pb2 import KubernetesExecutorConfig
spec, *platforms = json.load(sys.stdin)
ParseDict(spec, messages.PipelineSpec())
ParseDict(spec["deploymentSpec"], messages.PipelineDeploymentConfig())
for document in platforms:
    ParseDict(document, messages.PlatformSpec())
    for pod in document["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        ParseDict(pod, KubernetesExecutorConfig())
"""


@dataclass(frozen=True)
class Release:
    """The messages of a version of Kubeflow Pipelines."""

    version: str
    packages: Path

    def problem(self, documents: list[Any]) -> str:
        """Why they are not a compiled file to this version; nothing if they are."""
        # Without this environment's own messages, which are of one version.
        read = subprocess.run(
            [sys.executable, "-I", "-S", "-c", READER, str(self.packages)],
            input=json.dumps(documents),
            capture_output=True,
            text=True,
            check=False,
        )
        return f"{read.returncode}: {read.stderr}" if read.returncode else ""


@pytest.fixture(scope="module", params=RELEASES)
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("packages")
    install = [str(UV), "pip", "install", "--quiet"]
    where = ["--no-deps", "--target", str(folder), "--python", sys.executable]
    packages = [*RELEASES[request.param], "googleapis-common-protos==1.66.*"]
    uv = subprocess.run([*install, *where, *packages], capture_output=True, text=True, check=False)
    if UNREACHABLE in uv.stderr:
        pytest.skip(f"the package index was not reached: {uv.stderr}")
    assert uv.returncode == 0, uv.stderr
    return Release(request.param, folder)


def documents(*overrides: str) -> list[Any]:
    options = CompileOptions(Target.KFP, "registry.example/movierec:1.2", "gs://bucket/root")
    pipeline = compiler.compile_pipeline(load_config(overrides=overrides), options)
    return list(yaml.safe_load_all(pipeline.text()))


@pytest.mark.parametrize("overrides", [(), EVERYTHING_OF_A_POD, SEVERAL_WORKERS])
def test_every_field_is_known(release: Release, overrides: tuple[str, ...]) -> None:
    assert release.problem(documents(*overrides)) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optional", False),
        ("secretNameParameter", {"runtimeValue": {"constant": "mlpipeline-minio-artifact"}}),
        ("resourceCpuLimit", "4"),
    ],
)
def test_the_oldest_refuses_what_came_later(release: Release, name: str, value: Any) -> None:
    spec, platforms = documents(*EVERYTHING_OF_A_POD)
    pods = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    (secret,) = pods["exec-pusher"]["secretAsEnv"]
    container = spec["deploymentSpec"]["executors"]["exec-trainer"]["container"]
    (container["resources"] if name.startswith("resource") else secret)[name] = value
    problem = release.problem([spec, platforms])
    if release.version == NEWEST:
        assert problem == ""
    else:
        assert f'no field named "{name}"' in problem
