"""Recall@10 and NDCG@10 over the whole catalogue, as a metric of TFMA.

TFMA's own ranking metrics order the examples of an evaluation among themselves. Here the model says
where it ranks each example's movie among all that the user has not rated (`transform_features`),
and where popularity does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.metrics import metric_types

from models import features, signature_names
from models.ranking import CUTOFF, RankingFigures, ranking_figures

NDCG: Final = f"ndcg_at_{CUTOFF}"
RECALL: Final = f"recall_at_{CUTOFF}"
POPULARITY_NDCG: Final = f"popularity_{NDCG}"
POPULARITY_RECALL: Final = f"popularity_{RECALL}"
# How much more than popularity's the model's is.
NDCG_GAIN: Final = f"{NDCG}_gain"
RECALL_GAIN: Final = f"{RECALL}_gain"
NAMES: Final = (NDCG, RECALL, POPULARITY_NDCG, POPULARITY_RECALL, NDCG_GAIN, RECALL_GAIN)

# Of each liked movie: who likes it, its rank, its rank by popularity.
_Liked = tuple[list[bytes], list[int], list[int]]


class RankingMetrics(metric_types.Metric):
    """All figures of a ranking, in one pass over the examples."""

    def __init__(self, liked_rating: float, name: str = "ranking_metrics") -> None:
        """Constructs the metric.

        Args:
            liked_rating: the lowest rating of what is liked.
            name: of the metric; its figures have names of their own, `NAMES`.
        """
        super().__init__(_computations, liked_rating=liked_rating, name=name)


def _computations(
    liked_rating: float,
    name: str,
    model_names: list[str] | None = None,
    **_: Any,
) -> metric_types.MetricComputations:
    """One computation for each model that is evaluated."""
    return [
        metric_types.MetricComputation(
            keys=[_key(figure, model_name) for figure in NAMES],
            preprocessors=[_inputs(model_name)],
            combiner=_Combiner(liked_rating, model_name),
        )
        for model_name in model_names or [""]
    ]


def _key(figure: str, model_name: str) -> metric_types.MetricKey:
    # A threshold finds its figure only under the key that TFMA would make of its name.
    return metric_types.MetricKey(figure, model_name=model_name, example_weighted=None)


def _inputs(model_name: str) -> metric_types.Preprocessor:
    """Who rated, beside the rating, and the ranks that a model gives."""
    ranks: dict[str, Any] = {signature_names.RANK: {}, signature_names.POPULARITY_RANK: {}}
    return metric_types.StandardMetricInputsPreprocessor(
        include_filter={
            constants.FEATURES_KEY: {features.USER_ID: {}},
            constants.TRANSFORMED_FEATURES_KEY: {model_name: ranks} if model_name else ranks,
        },
        model_names=[model_name] if model_name else None,
        # What has the same name is taken for the same.
        name=f"ranking_inputs {model_name}",
    )


class _Combiner(beam.CombineFn):
    """Collects the liked movies of an evaluation, or of a slice of it."""

    def __init__(self, liked_rating: float, model_name: str) -> None:
        self._liked_rating = liked_rating
        self._model_name = model_name

    def create_accumulator(self) -> _Liked:
        return [], [], []

    def add_input(self, accumulator: _Liked, element: metric_types.StandardMetricInputs) -> _Liked:
        labels = element.get_labels()
        if isinstance(labels, dict):
            labels = labels[self._model_name]
        if np.asarray(labels).item() >= self._liked_rating:
            ranked = element.get_transformed_features(self._model_name)
            users, ranks, popularity_ranks = accumulator
            users.append(np.asarray(element.get_features()[features.USER_ID]).item())
            ranks.append(np.asarray(ranked[signature_names.RANK]).item())
            popularity_ranks.append(np.asarray(ranked[signature_names.POPULARITY_RANK]).item())
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Liked]) -> _Liked:
        users, ranks, popularity_ranks = self.create_accumulator()
        for more_users, more_ranks, more_popularity_ranks in accumulators:
            users += more_users
            ranks += more_ranks
            popularity_ranks += more_popularity_ranks
        return users, ranks, popularity_ranks

    def extract_output(self, accumulator: _Liked) -> dict[metric_types.MetricKey, float]:
        users, ranks, popularity_ranks = (np.asarray(values) for values in accumulator)
        model = ranking_figures(users, ranks)
        popularity = ranking_figures(users, popularity_ranks)
        return {
            _key(name, self._model_name): value for name, value in _named(model, popularity).items()
        }


def _named(model: RankingFigures, popularity: RankingFigures) -> dict[str, float]:
    return {
        NDCG: model.ndcg,
        RECALL: model.recall,
        POPULARITY_NDCG: popularity.ndcg,
        POPULARITY_RECALL: popularity.recall,
        NDCG_GAIN: model.ndcg - popularity.ndcg,
        RECALL_GAIN: model.recall - popularity.recall,
    }
