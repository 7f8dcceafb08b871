"""The evaluation's slices, a batch of ratings at a time.

TFMA takes a batch apart and calls each metric in Python once for each rating, slice and model. Its
Evaluator also accepts extracts that hold a batch of one slice, which metrics can add up as arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.api import types
from tensorflow_model_analysis.extractors import slice_key_extractor, unbatch_extractor
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.utils import util

from models import features, signature_names
from pipeline.slice_values import age_groups, deciles_of_movies

Rows = np.ndarray[Any, np.dtype[np.int64]]
SliceKey = tuple[tuple[str, Any], ...]

# Outputs of `transform_features` that metrics read.
_READ: dict[str, Any] = {
    name: {}
    for name in (
        signature_names.RANK,
        signature_names.POPULARITY_RANK,
        signature_names.STANDARD_DEVIATION,
    )
}
_REPLACED = (
    unbatch_extractor.UNBATCH_EXTRACTOR_STAGE_NAME,
    slice_key_extractor.SLICE_KEY_EXTRACTOR_STAGE_NAME,
)


def custom_extractors(
    eval_shared_model: Any, eval_config: tfma.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """Returns TFMA's own extractors, but slices are cut out of batches; called by the Evaluator.

    Args:
        eval_shared_model: Model, or candidate and baseline.
        eval_config: Configuration of the evaluation.
        tensor_adapter_config: Form of the features, passed on to TFMA.

    Raises:
        ValueError: A slice is not of one feature.
    """
    extractors = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    return [
        *(extractor for extractor in extractors if extractor.stage_name not in _REPLACED),
        tfma.extractors.Extractor(
            stage_name=slice_key_extractor.SLICE_KEY_EXTRACTOR_STAGE_NAME,
            ptransform=_CutSlices(eval_config, _candidate(eval_shared_model)),
        ),
    ]


def _candidate(eval_shared_model: Any) -> str | None:
    """Returns the folder of the model that is evaluated; None where predictions are given."""
    if eval_shared_model is None:
        return None
    models = eval_shared_model if isinstance(eval_shared_model, list) else [eval_shared_model]
    return next(str(one.model_path) for one in models if one.model_name != tfma.BASELINE_KEY)


class _CutSlices(beam.PTransform):
    """Makes extracts of one slice each from extracts with a batch of ratings."""

    def __init__(self, eval_config: tfma.EvalConfig, candidate: str | None) -> None:
        super().__init__()
        self._candidate = candidate
        models = [spec.name for spec in eval_config.model_specs]
        # Without a baseline, TFMA's extracts have no level for the model.
        self._models = models if len(models) > 1 else []
        # The arrays that the metrics read; others would be copied for each slice in vain.
        self._read: dict[str, Any] = {
            constants.LABELS_KEY: {},
            constants.PREDICTIONS_KEY: {},
            constants.FEATURES_KEY: {features.USER_ID: {}},
            constants.TRANSFORMED_FEATURES_KEY: dict.fromkeys(self._models, _READ) or _READ,
        }
        self._features = [tuple(spec.feature_keys) for spec in eval_config.slicing_specs]
        if any(len(keys) > 1 for keys in self._features) or any(
            spec.feature_values for spec in eval_config.slicing_specs
        ):
            raise ValueError("slicing_specs: expected at most one feature key each and no value")

    def expand(self, extracts: beam.PCollection) -> beam.PCollection:
        return extracts | beam.FlatMap(self._cut).with_output_types(types.Extracts)

    def _cut(self, batch: types.Extracts) -> Iterator[types.Extracts]:
        read = util.include_filter(self._read, batch)
        for key, rows in self._slices(batch):
            yield {
                **_taken(read, rows),
                constants.SLICE_KEY_TYPES_KEY: slicer_lib.slice_keys_to_numpy_array([key]),
            }

    def _slices(self, batch: types.Extracts) -> Iterator[tuple[SliceKey, Rows]]:
        count = len(batch[constants.INPUT_KEY])
        for names in self._features:
            if not names:
                yield (), np.arange(count)
                continue
            (name,) = names
            for value, rows in self._rows_by_value(batch, name, count):
                yield ((name, value.decode() if isinstance(value, bytes) else value),), rows

    def _rows_by_value(
        self, batch: types.Extracts, name: str, count: int
    ) -> Iterable[tuple[Any, Rows]]:
        """Returns each value of a feature, or of what is made from one, and its rows."""
        if name == features.USER_AGE_GROUP:
            ages = rows_by_value(self._values(batch, features.USER_AGE), count)
            return _merged((age_groups(age), rows) for age, rows in ages)
        if name == features.MOVIE_POPULARITY_DECILE:
            if self._candidate is None:
                return ()
            movies = np.asarray(batch[constants.FEATURES_KEY][features.MOVIE_ID]).reshape(-1)
            return rows_by_value([deciles_of_movies(self._candidate, movies.astype(bytes))], count)
        return rows_by_value(self._values(batch, name), count)

    def _values(self, batch: types.Extracts, name: str) -> list[Any]:
        """Returns the batches of a feature: as the models transform it, or else the raw one."""
        transformed = batch.get(constants.TRANSFORMED_FEATURES_KEY) or {}
        by_model = [transformed.get(model) or {} for model in self._models] or [transformed]
        values = [features_[name] for features_ in by_model if features_.get(name) is not None]
        raw = batch[constants.FEATURES_KEY].get(name)
        return values or ([] if raw is None else [raw])


def rows_by_value(batches: Iterable[Any], count: int) -> Iterator[tuple[Any, Rows]]:
    """Yields each value and the rows that have it, in any of several batches of a feature.

    Args:
        batches: A feature for the same rows: arrays `[count]` or `[count, n]`, or sparse with the
            row in the first column of its `indices`.
        count: Number of rows.
    """
    rows, values = [np.zeros(0, np.int64)], [np.zeros(0, object)]
    for batch in batches:
        sparse = hasattr(batch, "indices")
        flat = np.asarray(batch.values if sparse else batch).reshape(-1)
        each = np.repeat(np.arange(count), len(flat) // max(count, 1))
        rows.append(np.asarray(batch.indices)[:, 0] if sparse else each)
        values.append(flat.astype(object))
    found, code = np.unique(np.concatenate(values), return_inverse=True)
    # A row counts once in a slice, however often it has the value.
    pairs = np.unique(code * count + np.concatenate(rows))
    ends = np.searchsorted(pairs, np.arange(len(found) + 1) * count)
    for value, start, end in zip(found, ends[:-1], ends[1:], strict=True):
        yield value, pairs[start:end] % count


def _merged(found: Iterable[tuple[Any, Rows]]) -> Iterator[tuple[str, Rows]]:
    """Yields each value once, with the rows of all entries that have it."""
    by_value: dict[str, list[Rows]] = {}
    for value, rows in found:
        by_value.setdefault(str(value), []).append(rows)
    for value, parts in by_value.items():
        yield value, np.unique(np.concatenate(parts))


def _taken(extracts: dict[str, Any], rows: Rows) -> dict[str, Any]:
    """Returns some rows of all arrays, at the same keys."""
    return {
        key: _taken(value, rows) if isinstance(value, dict) else value[rows]
        for key, value in extracts.items()
    }
