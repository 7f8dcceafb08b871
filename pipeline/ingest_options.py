"""The options of reading ratings, as the configuration has them."""

from __future__ import annotations

from components.movielens_example_gen.options import IngestOptions
from pipeline import row_bounds
from pipeline.config.tree import PipelineConfig


def ingest_options(config: PipelineConfig, golden_set: str | None = None) -> IngestOptions:
    """Returns the options of reading, cleaning and splitting ratings.

    Args:
        config: Configuration of the pipeline.
        golden_set: Folder of the golden set as the step sees it; None without one.
    """
    return IngestOptions(
        edition=config.data.dataset,
        window=config.data.window,
        split=config.split,
        max_rejected_fraction=config.data.max_rejected_fraction,
        bounds=row_bounds.read(),
        dialect=config.data.dialect,
        golden_set=golden_set,
    )
