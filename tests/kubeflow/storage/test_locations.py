from pathlib import Path

import pytest

from kubeflow.storage import locations
from pipeline.config.errors import UserError

DEFAULT = Path("/ws/locations")
FOUND = locations.parse(DEFAULT, ["gs://data=/d", "gs://data/deep/=/deep", "s3://b=/a=b"])


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("gs://data", "/d"),
        ("gs://data/x/y", "/d/x/y"),
        ("gs://data/deep/x", "/deep/x"),
        ("gs://data/deeper", "/d/deeper"),
        ("gs://database/x", "/ws/locations/gs/database/x"),
        ("s3://b/c", "/a=b/c"),
        ("minio://mlpipeline/v2", "/ws/locations/minio/mlpipeline/v2"),
        ('{"base": "gs://data/x", "n": 1}', '{"base": "/d/x", "n": 1}'),
        ("gs://data/{{$.inputs.parameters['x']}}", "/d/{{$.inputs.parameters['x']}}"),
        ("/local/path and https://example.org/x", "/local/path and https://example.org/x"),
    ],
)
def test_addresses_become_paths(text: str, local: str) -> None:
    assert FOUND.local(text) == local


@pytest.mark.parametrize(
    "remote",
    [
        "gs://data",
        "gs://data/x/y",
        "gs://data/deep/x",
        "gs://database/x",
        "s3://b/c",
        "minio://m/v",
    ],
)
def test_paths_become_the_addresses_that_they_were(remote: str) -> None:
    assert FOUND.remote(FOUND.local(remote)) == remote
    assert FOUND.remote_value({"a": [FOUND.local(remote), 1]}) == {"a": [remote, 1]}


@pytest.mark.parametrize("path", ["/data", "/dd/x", "relative", "see /d/x", "gs://data/x"])
def test_other_texts_are_no_paths_of_buckets(path: str) -> None:
    assert FOUND.remote(path) == path


def test_values_of_any_shape() -> None:
    value = {"a": ["gs://data/x", 1, None], "b": {"c": "s3://b"}}
    assert FOUND.local_value(value) == {"a": ["/d/x", 1, None], "b": {"c": "/a=b"}}


def test_a_relative_folder_is_below_the_working_directory() -> None:
    assert locations.parse(DEFAULT, ["gs://b=x"]).local("gs://b/y") == str(Path.cwd() / "x" / "y")


@pytest.mark.parametrize("entry", ["gs://b", "gs://=x", "ftp://b=x", "b=x", "gs://b="])
def test_an_entry_that_maps_nothing_is_refused(entry: str) -> None:
    with pytest.raises(UserError, match="expected REMOTE=DIR"):
        locations.parse(DEFAULT, [entry])


def test_two_folders_for_one_location_are_refused() -> None:
    with pytest.raises(UserError, match="gs://b is mapped to /x already"):
        locations.parse(DEFAULT, ["gs://b=/x", "gs://b/=/y"])


def test_a_home_folder_of_nobody_is_refused() -> None:
    with pytest.raises(UserError, match="~nosuchuser is no user"):
        locations.parse(DEFAULT, ["gs://b=~nosuchuser/x"])
