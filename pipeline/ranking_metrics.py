"""Recall@10 and NDCG@10 over the whole catalogue, as a metric of TFMA.

TFMA's own ranking metrics order the examples of an evaluation among themselves. Here the exported
model (`transform_features`) returns the rank of each example's movie among all movies that the user
has not rated, and its rank by popularity.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types

from models import features, signature_names
from models.ranking import CUTOFF, RankingFigures, figures_by_user, ranking_figures
from pipeline.model_outputs import computation, computations, figure_key

NDCG: Final = f"ndcg_at_{CUTOFF}"
NDCG_ERROR: Final = f"{NDCG}_standard_error"
# That of the difference from the baseline's, which the candidate has beside one.
NDCG_CHANGE_ERROR: Final = f"{NDCG}_change_standard_error"
RECALL: Final = f"recall_at_{CUTOFF}"
POPULARITY_NDCG: Final = f"popularity_{NDCG}"
POPULARITY_RECALL: Final = f"popularity_{RECALL}"
# The figure of the model less that of popularity.
NDCG_GAIN: Final = f"{NDCG}_gain"
RECALL_GAIN: Final = f"{RECALL}_gain"
NAMES: Final = (
    NDCG,
    NDCG_ERROR,
    RECALL,
    POPULARITY_NDCG,
    POPULARITY_RECALL,
    NDCG_GAIN,
    RECALL_GAIN,
)

# For each liked movie, the user, its rank and its rank by popularity: an array of a batch each.
_Liked = list[tuple[np.ndarray[Any, Any], ...]]


class RankingMetrics(metric_types.Metric):
    """TFMA metric with all figures of a ranking, for extracts of `pipeline.sliced_batches`."""

    def __init__(self, liked_rating: float, name: str = "ranking_metrics") -> None:
        """Constructs the metric.

        Args:
            liked_rating: Lowest rating of a liked movie.
            name: Name of the metric. Its figures have names of their own, `NAMES`.
        """
        super().__init__(_computations, liked_rating=liked_rating, name=name)


def _computations(
    liked_rating: float, name: str, model_names: list[str] | None = None, **_: Any
) -> metric_types.MetricComputations:
    found = computations(
        NAMES,
        [signature_names.RANK, signature_names.POPULARITY_RANK],
        lambda model_name: _Combiner(liked_rating, model_name),
        model_names,
        features=[features.USER_ID],
    )
    if constants.BASELINE_KEY in (model_names or ()):
        found += [
            computation(
                [NDCG_CHANGE_ERROR],
                [signature_names.RANK],
                _ChangeCombiner(liked_rating, name),
                [name, constants.BASELINE_KEY],
                features=[features.USER_ID],
            )
            for name in model_names or ()
            if name != constants.BASELINE_KEY
        ]
    return found


class _Combiner(beam.CombineFn):
    """Collects the liked movies of an evaluation, or of a slice."""

    def __init__(self, liked_rating: float, model_name: str) -> None:
        self._liked_rating = liked_rating
        self._model_name = model_name

    def create_accumulator(self) -> _Liked:
        return []

    def add_input(self, accumulator: _Liked, element: metric_types.StandardMetricInputs) -> _Liked:
        liked = _flat(element.get_labels(self._model_name)) >= self._liked_rating
        ranked = element.get_transformed_features(self._model_name)
        users = _flat(element.get_features()[features.USER_ID])
        ranks, popularity_ranks = (
            _flat(ranked[name]) for name in (signature_names.RANK, signature_names.POPULARITY_RANK)
        )
        accumulator.append((users[liked].astype(bytes), ranks[liked], popularity_ranks[liked]))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Liked]) -> _Liked:
        return [batch for accumulator in accumulators for batch in accumulator]

    def extract_output(self, accumulator: _Liked) -> dict[metric_types.MetricKey, float]:
        users, ranks, popularity_ranks = map(np.concatenate, zip(*accumulator, strict=True))
        model = ranking_figures(users, ranks)
        popularity = ranking_figures(users, popularity_ranks)
        return {
            figure_key(name, self._model_name): value
            for name, value in _named(model, popularity).items()
        }


class _ChangeCombiner(_Combiner):
    """Collects the liked movies with their ranks by a model and by the baseline."""

    def add_input(self, accumulator: _Liked, element: metric_types.StandardMetricInputs) -> _Liked:
        liked = _flat(element.get_labels(self._model_name)) >= self._liked_rating
        users = _flat(element.get_features()[features.USER_ID])
        ranks = (
            _flat(element.get_transformed_features(name)[signature_names.RANK])[liked]
            for name in (self._model_name, constants.BASELINE_KEY)
        )
        accumulator.append((users[liked].astype(bytes), *ranks))
        return accumulator

    def extract_output(self, accumulator: _Liked) -> dict[metric_types.MetricKey, float]:
        users, *ranks = map(np.concatenate, zip(*accumulator, strict=True))
        ours, theirs = (figures_by_user(users, by_model)[0] for by_model in ranks)
        changes = ours - theirs
        # One user has no spread.
        error = changes.std(ddof=1) / np.sqrt(len(changes)) if len(changes) > 1 else np.nan
        return {figure_key(NDCG_CHANGE_ERROR, self._model_name): float(error)}


def _flat(values: Any) -> np.ndarray[Any, Any]:
    return np.asarray(values).reshape(-1)


def _named(model: RankingFigures, popularity: RankingFigures) -> dict[str, float]:
    return {
        NDCG: model.ndcg,
        NDCG_ERROR: model.ndcg_error,
        RECALL: model.recall,
        POPULARITY_NDCG: popularity.ndcg,
        POPULARITY_RECALL: popularity.recall,
        NDCG_GAIN: model.ndcg - popularity.ndcg,
        RECALL_GAIN: model.recall - popularity.recall,
    }
