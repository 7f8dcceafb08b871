import pytest

from pipeline.config.image_reference import image_problem

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
    assert f"a tag or a digest is expected, as in {EXAMPLE}" in str(problem(image))


@pytest.mark.parametrize("image", ["movierec:latest", "registry.example:5000/a/movierec:latest"])
def test_a_tag_that_moves_is_refused(image: str) -> None:
    assert f"a tag that stays the same is expected, as in {EXAMPLE}" in str(problem(image))


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
    assert f"no name of an image; expected one as {EXAMPLE}" in str(problem(image))
