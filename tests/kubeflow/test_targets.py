import errno
import os
from pathlib import Path

import pytest

from kubeflow import targets
from kubeflow.compiling.pipeline_spec import task_name
from kubeflow.storage.mounts import MOUNTS
from kubeflow.targets import Target
from pipeline.config.errors import UserError


def test_an_unknown_target_is_told_what_there_is() -> None:
    assert targets.parse_target("kfp") is Target.KFP
    with pytest.raises(UserError, match="--target airflow: unknown; expected one of vertex, kfp"):
        targets.parse_target("airflow")


def test_an_image_names_one_build() -> None:
    assert targets.check_image("my_movierec:1.2") == "my_movierec:1.2"
    for image, problem in {
        "movierec": "expected a tag or a digest, as in REGISTRY/movierec:1.2",
        "movierec:latest": "expected a tag that stays the same, as in REGISTRY/movierec:1.2",
        "Movierec:1": "not a valid image name; expected one such as REGISTRY/movierec:1.2",
    }.items():
        with pytest.raises(UserError) as raised:
            targets.check_image(image)
        assert str(raised.value).startswith(f"--image {image}: {problem}")


def test_every_storage_has_a_place_where_platforms_mount_it() -> None:
    assert set(MOUNTS) == set(targets.SCHEMES) == {"gs", "s3", "minio"}


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
    with pytest.raises(UserError, match="--data /data: "):
        targets.check_location("--data", "/data", Target.KFP, "gs://bucket/root")


@pytest.mark.parametrize(("target", "longest"), [(Target.VERTEX, 113), (Target.KFP, 63)])
def test_a_name_is_one_that_the_platform_takes(target: Target, longest: int) -> None:
    assert targets.check_name("a" * longest, target) == "a" * longest
    with pytest.raises(UserError, match=f"{longest + 1} characters; expected at most {longest}"):
        targets.check_name("a" * (longest + 1), target)
    for wrong in ("Movierec", "movie_rec", "-movierec", "movierec-", ""):
        with pytest.raises(UserError, match="expected lower-case letters"):
            targets.check_name(wrong, target)


def test_a_name_begins_with_a_letter_where_ids_do() -> None:
    assert targets.check_name("9lives", Target.KFP) == "9lives"
    assert targets.check_name("lives9", Target.VERTEX) == "lives9"
    with pytest.raises(UserError, match=r"--name 9lives: expected .* with a letter first"):
        targets.check_name("9lives", Target.VERTEX)


def test_a_file_has_the_ending_that_clients_know_it_by() -> None:
    targets.check_output(Path("job.json"), Target.VERTEX)
    targets.check_output(Path("job.yaml"), Target.KFP)
    with pytest.raises(UserError, match=r"-o job\.json: expected a name that ends in \.yaml"):
        targets.check_output(Path("job.json"), Target.KFP)


def test_a_file_can_be_written_where_it_is_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.yaml").mkdir()
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    fits = tmp_path / ("é" + "a" * (longest - 7) + ".yaml")
    assert targets.check_output(fits, Target.KFP) == fits
    for output, problem in {
        tmp_path / "nowhere" / "job.yaml": f"there is no folder {tmp_path / 'nowhere'}",
        tmp_path / "file" / "job.yaml": f"{tmp_path / 'file'} is not a folder",
        tmp_path / "file" / "deeper" / "job.yaml": "there is no folder",
        tmp_path / "folder.yaml": "is a folder; expected a file",
        tmp_path / f"a{fits.name}": f"the name has {longest + 1} bytes",
        tmp_path / ("a" * (longest + 1)) / "job.yaml": os.strerror(errno.ENAMETOOLONG),
    }.items():
        with pytest.raises(UserError) as raised:
            targets.check_output(output, Target.KFP)
        assert str(raised.value).startswith(f"-o {output}: {problem}")


def test_a_folder_that_may_not_be_written_to_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What the system says of the folder, which root could write to all the same."""
    asked = []
    monkeypatch.setattr(os, "access", lambda *given: asked.append(given))
    with pytest.raises(UserError, match=f"job.yaml: .* {tmp_path}$"):
        targets.check_output(tmp_path / "job.yaml", Target.KFP)
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]


def test_tasks_are_dns_labels() -> None:
    assert task_name("MovieLensExampleGen") == "movie-lens-example-gen"
    assert task_name("Trainer") == "trainer"
