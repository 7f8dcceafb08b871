from pathlib import Path

import pytest

from components.movielens_example_gen.readers import EDITIONS
from pipeline.config.errors import UserError
from pipeline.config.tree import DataConfig
from pipeline.datasets import locate


def test_the_installed_edition_is_found() -> None:
    folder = locate(DataConfig())
    assert all((folder / name).is_file() for name in EDITIONS["ml-100k"].files)


def test_own_ratings_need_a_folder() -> None:
    with pytest.raises(UserError, match=r"data\.path: .* needs the folder"):
        locate(DataConfig(dataset="csv"))


def test_what_is_missing_is_named(csv_folder: Path) -> None:
    assert locate(DataConfig(dataset="csv", path=csv_folder)) == csv_folder
    (csv_folder / "ratings.csv").unlink()
    with pytest.raises(UserError, match=r"ratings\.csv: not found"):
        locate(DataConfig(dataset="ml-25m", path=csv_folder))
    with pytest.raises(UserError, match="does not exist"):
        locate(DataConfig(dataset="csv", path=csv_folder / "ratings.csv"))
