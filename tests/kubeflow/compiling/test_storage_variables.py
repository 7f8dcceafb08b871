"""What steps are told of the storage, held against what KFP's own client makes of the same."""

import json
from typing import Any

import pytest
from kfp import dsl, kubernetes

from kubeflow.compiling import compiler
from kubeflow.compiling.compile_options import CompileOptions
from kubeflow.compiling.compiler import CompiledPipeline
from kubeflow.targets import Target
from pipeline.config.errors import UserError
from pipeline.config.tree import load_config

ENDPOINT = "http://minio-service.kubeflow:9000"
SECRET = "mlpipeline-minio-artifact"


def compiled(*overrides: str, target: Target = Target.KFP) -> CompiledPipeline:
    root = {Target.KFP: "minio://bucket/root", Target.VERTEX: "gs://bucket/root"}[target]
    options = CompileOptions(target, "registry.example/movierec:1.2", root)
    return compiler.compile_pipeline(load_config(overrides=overrides), options)


def secret_as_the_client_has_it() -> dict[str, Any]:
    """What the client writes, less what drivers before 2.5 refuse."""
    made: list[dict[str, Any]] = []

    @dsl.container_component
    def step() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="registry.example/any:1")

    @dsl.pipeline
    def pipeline() -> None:
        keys = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
        made.append(kubernetes.use_secret_as_env(step(), SECRET, keys).platform_config)

    (secret,) = made[0]["kubernetes"]["secretAsEnv"]
    return {"secretAsEnv": [{key: secret[key] for key in ("secretName", "keyToEnv")}]}


def environments(pipeline: CompiledPipeline) -> dict[str, Any]:
    executors = pipeline.spec["deploymentSpec"]["executors"]
    return {
        name: executor["container"]["env"]
        for name, executor in executors.items()
        if "env" in executor["container"]
    }


def test_steps_that_read_and_write_the_storage_are_led_to_it() -> None:
    pipeline = compiled(
        f"kfp.storage_endpoint={ENDPOINT}",
        f"kfp.storage_secret={SECRET}",
        "training.warm_start=true",
    )
    steps = {
        f"exec-{name}"
        for name, task in pipeline.spec["root"]["dag"]["tasks"].items()
        for source in task["inputs"].get("parameters", {}).values()
        if source.get("componentInputParameter") in {"data", "push"}
    }
    assert len(steps) == 7
    variable = {"name": "AWS_ENDPOINT_URL", "value": ENDPOINT}
    assert environments(pipeline) == {step: [variable] for step in steps}
    executors = pipeline.platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors == {step: secret_as_the_client_has_it() for step in steps}


def test_without_a_setting_they_are_told_nothing() -> None:
    assert environments(compiled()) == {}
    assert compiled().platforms == {}
    setting = f"kfp.storage_endpoint={ENDPOINT}"
    vertex, usual = (compiled(*given, target=Target.VERTEX) for given in ((setting,), ()))
    assert environments(vertex) == environments(usual)
    assert ENDPOINT not in json.dumps(vertex.spec)


@pytest.mark.parametrize("endpoint", ["minio:9000", "http://", "http://a b", "http://minio/path"])
def test_an_endpoint_is_the_address_of_a_server(endpoint: str) -> None:
    with pytest.raises(UserError, match=r"kfp\.storage_endpoint"):
        load_config(overrides=[f"kfp.storage_endpoint={endpoint}"])
