from pathlib import Path

import pytest

from kubeflow import run_parameters
from kubeflow.local_execution import job_file
from pipeline.config.errors import UserError
from tests.kubeflow.compiled_jobs import KFP, VERTEX
from tests.kubeflow.compiled_jobs import Job as CompiledJob

both_schemas = pytest.mark.parametrize("schema", [VERTEX, KFP])
ROOT = "gs://bucket/root"


def changed(folder: Path, schema: str, push: str, /, **given: str) -> dict[str, object]:
    job = CompiledJob(schema, epochs=5, max_rmse=0.9, pipeline_root=ROOT, push=push).add("only")
    return run_parameters.changed(job_file.read(job.write(folder)), given)


@both_schemas
def test_only_what_is_given_changes(schema: str, tmp_path: Path) -> None:
    inside = f"{ROOT}/serving/movierec"
    assert changed(tmp_path, schema, inside) == {}
    given = changed(tmp_path, schema, inside, epochs="7", max_rmse="1")
    assert given == {"epochs": 7, "max_rmse": 1.0}


@both_schemas
@pytest.mark.parametrize(
    ("root", "push"),
    [
        ("gs://test/it", "gs://test/it/serving/movierec"),
        ("gs://test/it/", "gs://test/it/serving/movierec"),
        (f"{ROOT}/deeper", f"{ROOT}/deeper/serving/movierec"),
        ("/a/folder", "/a/folder/serving/movierec"),
    ],
)
def test_the_push_folder_moves_with_its_root(
    schema: str, root: str, push: str, tmp_path: Path
) -> None:
    given = changed(tmp_path, schema, f"{ROOT}/serving/movierec", pipeline_root=root)
    assert given == {"pipeline_root": root, "push": push}


@pytest.mark.parametrize("push", ["gs://other/serving", f"{ROOT}-2/serving", ROOT])
def test_a_push_folder_elsewhere_stays(push: str, tmp_path: Path) -> None:
    assert changed(tmp_path, KFP, push, pipeline_root="gs://test/it") == {
        "pipeline_root": "gs://test/it"
    }


def test_a_push_folder_that_is_given_is_that(tmp_path: Path) -> None:
    given = {"pipeline_root": "gs://test/it", "push": f"{ROOT}/serving/movierec"}
    assert changed(tmp_path, KFP, f"{ROOT}/serving/movierec", **given) == given


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("epochs", "0", "expected 1 or more"),
        ("epochs", "-3", "expected 1 or more"),
        ("epochs", "2.5", "expected NUMBER_INTEGER"),
        ("max_rmse", "0", "expected more than 0"),
        ("max_rmse", "-1", "expected more than 0"),
        ("max_rmse", "inf", "expected NUMBER_DOUBLE"),
        ("pipeline_root", "", "expected gs://BUCKET/PATH or"),
        ("pipeline_root", "here", "expected gs://BUCKET/PATH or"),
        ("pipeline_root", "hdfs://a/b", "expected gs://BUCKET/PATH or"),
    ],
)
def test_what_the_configuration_would_not_take_is_refused(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as raised:
        changed(tmp_path, KFP, "gs://other/serving", **{name: text})
    assert str(raised.value).startswith(f"--parameter {name}={text}: {problem}")
    assert "\n" not in str(raised.value)
