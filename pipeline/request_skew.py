"""The skew between what a server is asked and what its model was trained on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

# TFX stands in for a module of tfx-bsl that TFDV misses, so it comes first.
import tfx  # noqa: F401  # isort: skip
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics

from components.drift.report import Move
from models.export.training_population import TrainingPopulation, read_population
from models.records import Record
from pipeline.config.errors import UserError
from serving.embedded.request_log import numbered

ACTIVITY: Final = "user activity"
DECILE: Final = "movie decile"
GENRES: Final = "movie genres"

MIN_VALUES: Final = 1000
"""Values of a feature that the log must have; of fewer, chance alone moves shares by percents."""

_FEATURES: Final = (ACTIVITY, DECILE, GENRES)
_WEIGHT: Final = "weight"

Shares = dict[str, Counter[str]]


@dataclass
class LoggedRequests:
    """The requests of one version in a log, added up.

    Attributes:
        first: Time of the first one, in ISO 8601.
        last: Time of the last one.
        signatures: Number of requests by signature.
        values: How often each value of a feature was asked for, by feature.
    """

    first: str = ""
    last: str = ""
    signatures: Counter[str] = field(default_factory=Counter)
    values: Shares = field(default_factory=lambda: {name: Counter() for name in _FEATURES})

    def add(self, record: dict[str, Any]) -> None:
        """Adds the fields of a line."""
        self.first = min(self.first or record["time"], record["time"])
        self.last = max(self.last, record["time"])
        self.signatures[record["signature"]] += 1
        self.values[ACTIVITY].update(u["activity"] for u in record["users"] if "activity" in u)
        for movie in record["movies"]:
            if "decile" in movie:
                self.values[DECILE][movie["decile"]] += 1
                self.values[GENRES].update(movie["genres"])


class SkewReport(Record):
    """The comparison of a log with the training data of a version.

    Attributes:
        version: Number of the version.
        requests: Number of its requests in the log.
        other_requests: Number of requests of other versions in the log, which are left out.
        damaged_lines: Number of lines that cannot be read.
        first: Time of the first request, in ISO 8601.
        last: Time of the last request.
        signatures: Number of requests by signature.
        moves: Distance of each feature.
        too_few: Number of values of each feature with fewer than `MIN_VALUES`, which are not
            compared.
    """

    version: int
    requests: int
    other_requests: int
    damaged_lines: int
    first: str
    last: str
    signatures: dict[str, int]
    moves: tuple[Move, ...]
    too_few: dict[str, int]

    @property
    def skewed(self) -> bool:
        """Whether a feature is too far from training."""
        return any(move.exceeded for move in self.moves)


def compare(version: Path, log: Path, max_distance: float) -> SkewReport:
    """Returns how far the requests in a log are from the training data of the version asked.

    Three features are compared, by TFDV's skew comparator with the L-infinity norm, which is the
    largest difference of a value's share:

    - The activity of the users in requests, with that of the users in training, each counted once.
    - The popularity decile of the movies in requests, with that of the ratings in training.
    - The genres of these movies, with those of the ratings in training.

    Args:
        version: Folder of the pushed version.
        log: Folder of the request log.
        max_distance: Largest difference of a share.

    Raises:
        UserError: The log has no requests of the version, or the model says nothing about its
            training.
    """
    population = read_population(version)
    if population is None:
        raise UserError(
            f"{version}: the model says nothing about its training data; train and push it again"
        )
    by_version, damaged = _read(log)
    number = int(version.name)
    asked = by_version.pop(number, None)
    if asked is None:
        others = ", ".join(map(str, sorted(by_version))) or "none"
        raise UserError(
            f"{log}: no requests of version {number}; it has those of versions {others}; choose "
            "one with --version"
        )
    too_few = {
        name: counts.total() for name, counts in asked.values.items() if counts.total() < MIN_VALUES
    }
    compared = [name for name in asked.values if name not in too_few]
    return SkewReport(
        version=number,
        requests=asked.signatures.total(),
        other_requests=sum(other.signatures.total() for other in by_version.values()),
        damaged_lines=damaged,
        first=asked.first,
        last=asked.last,
        signatures=dict(asked.signatures.most_common()),
        moves=tuple(_moves(trained_on(population), asked.values, compared, max_distance)),
        too_few=too_few,
    )


def trained_on(population: TrainingPopulation) -> Shares:
    """Returns how often each value of a feature is in the training data.

    Users count once each. Movies count once for each of their ratings.
    """
    deciles: Counter[str] = Counter()
    genres: Counter[str] = Counter()
    for movie, ratings in population.movie_ratings.items():
        deciles[population.movie_decile[movie]] += ratings
        for genre in population.movie_genres[movie]:
            genres[genre] += ratings
    return {ACTIVITY: Counter(population.user_activity.values()), DECILE: deciles, GENRES: genres}


def _read(log: Path) -> tuple[dict[int, LoggedRequests], int]:
    """Returns the requests of a log by version, and the number of lines that cannot be read."""
    if not log.is_dir() or not (files := numbered(log)):
        raise UserError(
            f"{log}: expected the folder of a request log; `movierec serve --request-log DIR` "
            "writes one"
        )
    by_version: dict[int, LoggedRequests] = {}
    damaged = 0
    for number in sorted(files):
        # The server may have removed the oldest one by now.
        with suppress(FileNotFoundError), files[number].open("rb") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                    by_version.setdefault(record["version"], LoggedRequests()).add(record)
                except (ValueError, KeyError, TypeError):
                    damaged += 1
    return by_version, damaged


def _moves(trained: Shares, asked: Shares, names: list[str], max_distance: float) -> Iterator[Move]:
    """Yields the distance of each feature, as TFDV measures it."""
    if not names:
        return
    schema = schema_pb2.Schema()
    for name in names:
        feature = schema.feature.add(name=name, type=schema_pb2.BYTES)
        feature.skew_comparator.infinity_norm.threshold = max_distance
    anomalies = tfdv.validate_statistics(
        _statistics(trained, names), schema, serving_statistics=_statistics(asked, names)
    )
    measured = {
        info.path.step[0]: info.skew_measurements[0].value for info in anomalies.drift_skew_info
    }
    for name in names:
        before, now = _shares(trained[name]), _shares(asked[name])
        moved = max(
            sorted({*before, *now}), key=lambda value: abs(now.get(value, 0) - before.get(value, 0))
        )
        yield Move(
            name=name,
            measure="change of a share",
            before=f"{moved} {before.get(moved, 0):.1%}",
            now=f"{moved} {now.get(moved, 0):.1%}",
            moved=measured[name],
            allowed=max_distance,
        )


def _statistics(counted: Shares, names: list[str]) -> Statistics:
    """Returns TFDV's statistics of the features: a row for each value, as heavy as its count."""
    rows = [(name, value, count) for name in names for value, count in counted[name].items()]
    columns = {
        name: pa.array([[value] if own == name else None for own, value, _ in rows])
        for name in names
    }
    weights = pa.array([[float(count)] for *_, count in rows], pa.list_(pa.float32()))
    batch = pa.RecordBatch.from_pydict({**columns, _WEIGHT: weights})
    options = tfdv.StatsOptions(weight_feature=_WEIGHT)
    return stats_impl.generate_statistics_in_memory(batch, options)


def _shares(counts: Counter[str]) -> dict[str, float]:
    return {value: count / counts.total() for value, count in counts.items()}
