from typing import get_args

from components.movielens_example_gen.options import EditionName
from components.movielens_example_gen.readers import EDITIONS


def test_every_name_of_the_configuration_has_an_edition() -> None:
    assert set(EDITIONS) == set(get_args(EditionName))
    for edition in EDITIONS.values():
        lowest, highest = edition.rating_range or (0, 1)
        assert lowest < highest
        assert len(set(edition.files)) == len(edition.files) > 0
