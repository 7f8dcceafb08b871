"""The moves between the statistics of two runs, as TFDV measures them where it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

# TFX stands in for a module of tfx-bsl that TFDV misses, so it comes first.
import tfx  # noqa: F401  # isort: skip
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics

from components.drift.limits import DriftLimits
from components.drift.report import SPAN, Move
from components.movielens_example_gen.report import SpanReport
from models import features

Counts = np.ndarray[Any, np.dtype[np.int64]]

_SECONDS_PER_DAY: Final = 86_400
# Fewer ratings have another histogram by chance.
_ENOUGH: Final = 100
_IDS: Final = (features.USER_ID, features.MOVIE_ID)
_KEPT: Final = (*_IDS, features.RATING, features.MOVIE_GENRES, features.TIMESTAMP)


def slim(statistics: Statistics) -> Statistics:
    """Returns what `moves` needs of the statistics of a split; ids of users are not in it."""
    copy = Statistics()
    copy.CopyFrom(statistics)
    for dataset in copy.datasets:
        kept = [feature for feature in dataset.features if _name(feature) in _KEPT]
        for feature in kept:
            if _name(feature) in _IDS:
                feature.string_stats.ClearField("top_values")
                feature.string_stats.ClearField("rank_histogram")
        del dataset.features[:]
        dataset.features.extend(kept)
    return copy


def moves(
    before: Statistics, now: Statistics, schema: schema_pb2.Schema, limits: DriftLimits
) -> list[Move]:
    """Returns how far the data has moved, one for each name of a move that can be measured.

    Args:
        before: Statistics of the train split of the last blessed model.
        now: Statistics of the train split of this run.
        schema: Schema of the ratings.
        limits: Largest moves.
    """
    return [
        *_shrinking(before, now, limits),
        *_distances(before, now, schema, limits),
        _activity(before, now, limits),
        _time(before, now, limits),
    ]


def span_move(
    spans: Sequence[SpanReport], limits: DriftLimits, every: bool = False
) -> Iterator[Move]:
    """Yields how far the newest span's ratings are from those of the spans before.

    A broken week among many moves the statistics of all of them too little to be seen.

    Args:
        spans: Statistics of the spans that were read, oldest first.
        limits: Largest moves.
        every: Whether older spans are compared with all others as well, as none of them was when
            it was the newest. Then the span that is farthest off is yielded.
    """
    older = [at for at, span in enumerate(spans[:-1]) if every and span.accepted >= _ENOUGH]
    found = []
    for at in (*older, len(spans) - 1):
        others = [*spans[:at], *spans[at + 1 :]]
        if sum(span.accepted for span in others) and spans[at].accepted:
            found.append((_divergence(_histogram([spans[at]]), _histogram(others)), at))
    if not found:
        return
    moved, at = max(found)
    others = [*spans[:at], *spans[at + 1 :]]
    yield Move(
        name=SPAN,
        measure="Jensen-Shannon divergence",
        before=f"mean {_mean(others):.2f}",
        now=f"{spans[at].name} mean {_mean([spans[at]]):.2f}",
        moved=moved,
        allowed=limits.max_span_divergence,
    )


def _histogram(spans: Sequence[SpanReport]) -> Counts:
    counts: Counts = np.sum([span.histogram for span in spans], axis=0)
    return counts


def _divergence(counts: Counts, others: Counts) -> float:
    """Returns the Jensen-Shannon divergence of two histograms, in bits as TFDV's."""
    ours, theirs = counts / counts.sum(), others / others.sum()
    middle = (ours + theirs) / 2
    return float(
        sum(
            np.sum(share[share > 0] * np.log2(share[share > 0] / middle[share > 0])) / 2
            for share in (ours, theirs)
        )
    )


def _mean(spans: Sequence[SpanReport]) -> float:
    rated = [(span.mean, span.accepted) for span in spans if span.mean is not None]
    return sum(mean * count for mean, count in rated) / sum(count for _, count in rated)


def _shrinking(before: Statistics, now: Statistics, limits: DriftLimits) -> Iterator[Move]:
    counts = (
        ("ratings", _rows(before), _rows(now)),
        ("users", _unique(before, features.USER_ID), _unique(now, features.USER_ID)),
        ("movies", _unique(before, features.MOVIE_ID), _unique(now, features.MOVIE_ID)),
    )
    for name, then, today in counts:
        yield Move(
            name=name,
            measure="share that is gone",
            before=f"{then:,}",
            now=f"{today:,}",
            moved=max(0.0, 1 - today / then),
            allowed=limits.max_shrink,
        )


def _distances(
    before: Statistics, now: Statistics, schema: schema_pb2.Schema, limits: DriftLimits
) -> Iterator[Move]:
    """Yields the distances of distributions, which TFDV's drift comparators measure."""
    compared = schema_pb2.Schema()
    compared.CopyFrom(schema)
    rating = tfdv.get_feature(compared, features.RATING).drift_comparator
    rating.jensen_shannon_divergence.threshold = limits.max_rating_divergence
    genres = tfdv.get_feature(compared, features.MOVIE_GENRES).drift_comparator
    genres.infinity_norm.threshold = limits.max_genre_shift
    anomalies: anomalies_pb2.Anomalies = tfdv.validate_statistics(
        now, compared, previous_statistics=before
    )
    measured = {
        ".".join(info.path.step): info.drift_measurements[0].value
        for info in anomalies.drift_skew_info
        if info.drift_measurements
    }
    if features.RATING in measured:
        yield Move(
            name="rating",
            measure="Jensen-Shannon divergence",
            before=_spread(before),
            now=_spread(now),
            moved=measured[features.RATING],
            allowed=limits.max_rating_divergence,
        )
    if features.MOVIE_GENRES in measured:
        then, today = _shares(before), _shares(now)
        moved = max(
            sorted({*then, *today}), key=lambda name: abs(today.get(name, 0) - then.get(name, 0))
        )
        yield Move(
            name="genres",
            measure="change of a share",
            before=f"{moved} {then.get(moved, 0):.1%}",
            now=f"{moved} {today.get(moved, 0):.1%}",
            moved=measured[features.MOVIE_GENRES],
            allowed=limits.max_genre_shift,
        )


def _activity(before: Statistics, now: Statistics, limits: DriftLimits) -> Move:
    then, today = (_rows(s) / _unique(s, features.USER_ID) for s in (before, now))
    return Move(
        name="activity",
        measure="relative change",
        before=f"{then:.1f} a user",
        now=f"{today:.1f} a user",
        moved=abs(today / then - 1),
        allowed=limits.max_activity_shift,
    )


def _time(before: Statistics, now: Statistics, limits: DriftLimits) -> Move:
    then, today = (_feature(s, features.TIMESTAMP).num_stats.mean for s in (before, now))
    return Move(
        name="time",
        measure="days",
        before=_date(then),
        now=_date(today),
        moved=abs(today - then) / _SECONDS_PER_DAY,
        allowed=limits.max_time_shift_days,
    )


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _spread(statistics: Statistics) -> str:
    numbers = _feature(statistics, features.RATING).num_stats
    return f"mean {numbers.mean:.3f}, deviation {numbers.std_dev:.3f}"


def _shares(statistics: Statistics) -> dict[str, float]:
    """Returns the share of each genre among all genres of all ratings."""
    buckets = _feature(statistics, features.MOVIE_GENRES).string_stats.rank_histogram.buckets
    total = sum(bucket.sample_count for bucket in buckets)
    return {bucket.label: bucket.sample_count / total for bucket in buckets}


def _rows(statistics: Statistics) -> int:
    return int(statistics.datasets[0].num_examples)


def _unique(statistics: Statistics, name: str) -> int:
    return int(_feature(statistics, name).string_stats.unique)


def _feature(statistics: Statistics, name: str) -> statistics_pb2.FeatureNameStatistics:
    return next(one for one in statistics.datasets[0].features if _name(one) == name)


def _name(feature: statistics_pb2.FeatureNameStatistics) -> str:
    return feature.name or ".".join(feature.path.step)
