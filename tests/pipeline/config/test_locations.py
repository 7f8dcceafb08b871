import pytest

from pipeline.config.locations import image_problem, is_stored

DIGEST = "@sha256:" + "0123456789abcdef" * 4
EXAMPLE = "registry.example/team/image:7"


def problem(image: str) -> str | None:
    return image_problem(image, EXAMPLE)


def test_the_example_is_one() -> None:
    assert problem(EXAMPLE) is None


@pytest.mark.parametrize(
    "image",
    [
        "movierec:1.2",
        "registry.example:5000/team/movierec:1.2-gpu",
        "region-docker.example/project/movierec" + DIGEST,
        "movierec:1.2" + DIGEST,
        "movierec:latest" + DIGEST,
        "my_movierec:1.2",
        "user_x/movierec:1",
        "a.b__c--d/movierec:1",
        "localhost/movierec:1",
        "localhost:5000/movierec:1",
        "Registry.example/movierec:1",
        "[::1]:5000/movierec:1",
        "movierec:Latest",
    ],
)
def test_an_image_names_one_build(image: str) -> None:
    assert problem(image) is None


@pytest.mark.parametrize("image", ["movierec", "registry.example:5000/movierec", "my_movierec"])
def test_an_image_without_a_tag_is_refused(image: str) -> None:
    assert f"a tag or a digest, as in {EXAMPLE}" in str(problem(image))


@pytest.mark.parametrize("image", ["movierec:latest", "registry.example:5000/a/movierec:latest"])
def test_a_tag_that_moves_is_refused(image: str) -> None:
    assert f"a tag that stays the same, as in {EXAMPLE}" in str(problem(image))


@pytest.mark.parametrize(
    "image",
    [
        "",
        "movierec:",
        "movierec@sha256:12",
        "a b:1",
        "Movierec:1",
        "registry.example/Movierec:1",
        "User/movierec:1",
        "registry.example/a/-b:1",
        "registry.example//b:1",
        "registry.example:/b:1",
        "movierec-:1",
        "a..b:1",
        "a___b:1",
        "movierec:.1",
        "movierec:" + "1" * 129,
        "movierec:1\n",
        "https://registry.example/movierec:1",
    ],
)
def test_what_is_no_name_of_an_image_is_refused(image: str) -> None:
    assert f"not a valid image name; expected one such as {EXAMPLE}" in str(problem(image))


@pytest.mark.parametrize("uri", ["s3://bucket/a", "minio://bucket"])
def test_what_clients_of_s3_read(uri: str) -> None:
    assert is_stored(uri)


@pytest.mark.parametrize("uri", ["gs://bucket/s3://a", "/s3/bucket", "s3", "s3:/bucket", "s3a://b"])
def test_what_others_read(uri: str) -> None:
    assert not is_stored(uri)
