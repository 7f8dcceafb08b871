from typing import get_args

from components.movielens_example_gen.options import EditionName
from components.movielens_example_gen.readers import EDITIONS


def test_every_name_of_the_configuration_has_an_edition() -> None:
    assert set(EDITIONS) == set(get_args(EditionName))
    for edition in EDITIONS.values():
        assert edition.rating_min < edition.rating_max
        assert len(set(edition.files)) == len(edition.files) > 0
