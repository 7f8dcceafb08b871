"""The options of reading ratings, as the configuration has them."""

from __future__ import annotations

from components.movielens_example_gen.options import EditionName, IngestOptions
from components.movielens_example_gen.readers import EDITIONS
from pipeline import row_bounds
from pipeline.config.errors import UserError
from pipeline.config.tree import AUTO, PipelineConfig


def ingest_options(config: PipelineConfig, golden_set: str | None = None) -> IngestOptions:
    """Returns the options of reading, cleaning and splitting ratings.

    Args:
        config: Configuration of the pipeline.
        golden_set: Folder of the golden set as the step sees it; None without one.

    Raises:
        UserError: The configuration leaves the edition to be recognised.
    """
    return IngestOptions(
        edition=edition(config),
        split=config.split,
        max_rejected_fraction=config.data.max_rejected_fraction,
        bounds=row_bounds.read(),
        dialect=config.data.dialect,
        golden_set=golden_set,
    )


def edition(config: PipelineConfig) -> EditionName:
    """Returns the name of the edition.

    Raises:
        UserError: The configuration leaves it to be recognised.
    """
    if config.data.dataset == AUTO:
        raise UserError(
            f"data.dataset=auto: the files are not at hand; name the edition, one of "
            f"{', '.join(EDITIONS)}"
        )
    return config.data.dataset
