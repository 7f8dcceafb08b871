import os
from pathlib import Path

import pytest

from components.movielens_example_gen.readers import EDITIONS
from pipeline.config.errors import UserError
from pipeline.config.tree import DataConfig, load_config
from pipeline.datasets import locate, recognised


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


def test_a_pipe_is_refused_before_anybody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ratings.csv")
    with pytest.raises(UserError, match="is neither a file nor a folder"):
        locate(DataConfig(path=tmp_path / "ratings.csv"))


def test_with_a_path_the_edition_is_recognised(csv_folder: Path) -> None:
    assert load_config().data.dataset == "ml-100k"
    config = load_config(None, [f"data.path={csv_folder}"])
    assert config.data.dataset == "auto"
    assert recognised(config).data.dataset == "csv"
    named = load_config(None, [f"data.path={csv_folder}", "data.dataset=ml-25m"])
    assert recognised(named).data.dataset == "ml-25m"
    (csv_folder / "ratings.csv").rename(csv_folder / "notes.md")
    (csv_folder / "movies.csv").unlink()
    with pytest.raises(UserError, match="has no ratings"):
        recognised(config)
