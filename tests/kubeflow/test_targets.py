from pathlib import Path

import pytest

from kubeflow import targets
from kubeflow.names import task_name
from kubeflow.targets import Target
from pipeline.errors import UserError

DIGEST = "@sha256:" + "0123456789abcdef" * 4


def test_an_unknown_target_is_told_what_there_is() -> None:
    assert targets.parse_target("kfp") is Target.KFP
    with pytest.raises(UserError, match="--target airflow: unknown; expected one of vertex, kfp"):
        targets.parse_target("airflow")


@pytest.mark.parametrize(
    "image",
    [
        "movierec:1.2",
        "registry.example:5000/team/movierec:1.2-gpu",
        "region-docker.example/project/movierec" + DIGEST,
        "movierec:1.2" + DIGEST,
    ],
)
def test_an_image_names_one_build(image: str) -> None:
    assert targets.check_image(image) == image


@pytest.mark.parametrize(
    "image",
    ["", "movierec", "registry.example:5000/movierec", "movierec:", "movierec@sha256:12", "a b:1"],
)
def test_an_image_without_a_tag_is_refused(image: str) -> None:
    with pytest.raises(UserError, match="a tag or a digest is expected"):
        targets.check_image(image)


@pytest.mark.parametrize(
    ("target", "root"),
    [
        (Target.VERTEX, "gs://bucket/root"),
        (Target.KFP, "gs://bucket"),
        (Target.KFP, "s3://bucket/root"),
        (Target.KFP, "minio://bucket/a/b"),
        (Target.KFP, "/home/me/dry run".replace(" ", "-")),
    ],
)
def test_a_root_that_the_target_reaches(target: Target, root: str) -> None:
    assert targets.check_pipeline_root(root, target) == root
    assert targets.check_pipeline_root(f"{root}/", target) == root


@pytest.mark.parametrize(
    ("target", "root"),
    [
        (Target.VERTEX, "s3://bucket/root"),
        (Target.VERTEX, "/home/me/root"),
        (Target.VERTEX, "gs://"),
        (Target.KFP, "hdfs://bucket/root"),
        (Target.KFP, "relative/root"),
        (Target.KFP, "gs://bucket/{{$.pipeline_job_name}}"),
        (Target.KFP, "gs://bucket/it's"),
        (Target.KFP, ""),
    ],
)
def test_a_root_out_of_reach_is_refused(target: Target, root: str) -> None:
    with pytest.raises(UserError, match=f"{target} does not reach it; expected gs://BUCKET/PATH"):
        targets.check_pipeline_root(root, target)


def test_a_folder_of_this_machine_goes_with_a_root_of_this_machine() -> None:
    assert targets.check_location("--data", "/data", Target.KFP, "/root") == "/data"
    with pytest.raises(UserError, match="--data /data: a folder of this machine"):
        targets.check_location("--data", "/data", Target.KFP, "gs://bucket/root")


@pytest.mark.parametrize(("target", "longest"), [(Target.VERTEX, 128), (Target.KFP, 63)])
def test_a_name_is_one_that_the_platform_takes(target: Target, longest: int) -> None:
    assert targets.check_name("a" * longest, target) == "a" * longest
    with pytest.raises(UserError, match=f"{longest + 1} characters; expected at most {longest}"):
        targets.check_name("a" * (longest + 1), target)
    for wrong in ("Movierec", "movie_rec", "-movierec", "movierec-", ""):
        with pytest.raises(UserError, match="expected lower-case letters"):
            targets.check_name(wrong, target)


def test_a_file_has_the_ending_that_clients_know_it_by() -> None:
    targets.check_output(Path("job.json"), Target.VERTEX)
    targets.check_output(Path("job.yaml"), Target.KFP)
    with pytest.raises(UserError, match=r"-o job\.json: expected a name that ends in \.yaml"):
        targets.check_output(Path("job.json"), Target.KFP)


def test_tasks_are_dns_labels() -> None:
    assert task_name("MovieLensExampleGen") == "movie-lens-example-gen"
    assert task_name("Trainer") == "trainer"
