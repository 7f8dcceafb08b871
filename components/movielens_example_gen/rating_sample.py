"""A sample of the ratings that stays the same from run to run, so that two runs can compare it.

Statistics of all ratings cannot tell a rating that was changed from one that is new. The sample
has the same pairs of user and movie in every run, so it can.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from tfx.dsl.io import fileio

from components.movielens_example_gen import joining, splits
from components.movielens_example_gen.cleaning import ROW
from components.movielens_example_gen.readers.edition import RawRatings
from models import features

SAMPLE_FILE: Final = "rating_sample.npz"
SIZE: Final = 8_192
"""Most ratings in a sample: a share of 1 % is then known to 0.1 %."""

# Not a seed of a split by hash: the first pairs of such a seed are all in the holdout.
_SEED: Final = int.from_bytes(b"compared", "little")
_DIGEST_BYTES: Final = 8
_SEPARATOR: Final = "\0"
_YEARS: Final = 10
# Clocks that are wrong by years are few, and one of them must not bound all ratings.
_STRAY_SHARE: Final = 0.001
# What no window of spans leaves behind.
_NO_SPAN: Final = np.iinfo(np.int64).max

Keys = np.ndarray[Any, np.dtype[np.float64]]
Stars = np.ndarray[Any, np.dtype[np.float32]]
Times = np.ndarray[Any, np.dtype[np.int64]]
Spans = np.ndarray[Any, np.dtype[np.int64]]
Digests = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True)
class RatingSample:
    """The ratings with the lowest hashes of user and movie, and the times that bound all of them.

    The lowest hashes are a random sample, and one of a larger set of ratings has no other ratings
    of the smaller set (the k-minimum-values sketch: Bar-Yossef et al., 2002).

    Attributes:
        keys: float64 `[n]`, hash of each pair of user and movie in [0, 1), ascending.
        stars: float32 `[n]`, rating in stars.
        times: int64 `[n]`, time in seconds since 1970.
        movies: uint64 `[n]`, digest of the movie's title and genres.
        users: uint64 `[n]`, digest of the user's decade of age, gender and occupation, 0 where no
            file describes users; None in a sample of an earlier release.
        spans: int64 `[n]`, number of the span that has the rating; the largest int64 where that is
            not known.
        oldest: Time of the oldest of all ratings, but for the oldest 0.1 % of them.
        newest: Time of the newest, but for the newest 0.1 %.
        first_span: Number of the oldest span that was read; 0 where there are none.
    """

    keys: Keys
    stars: Stars
    times: Times
    movies: Digests
    users: Digests | None
    spans: Spans
    oldest: int
    newest: int
    first_span: int

    @property
    def complete_to(self) -> float:
        """The hash up to which every rating is in the sample."""
        return float(self.keys[-1]) if len(self.keys) == SIZE else 1.0


def draw(ratings: pa.Table, raw: RawRatings, span_numbers: Sequence[int] = ()) -> RatingSample:
    """Returns the sample of ratings.

    Args:
        ratings: Table of one or more ratings with `row`, `user_id`, `movie_id`, `rating` and
            `timestamp`.
        raw: Tables of all files, with the movies.
        span_numbers: Number of each of the spans in `raw`; empty for a path without spans.
    """
    hashes = splits.hash_positions(ratings, _SEED)
    kept = min(SIZE, len(hashes))
    rows = np.argpartition(hashes, kept - 1)[:kept]
    rows = rows[np.argsort(hashes[rows])]
    chosen = joining.join(ratings.take(rows), raw)
    times = ratings[features.TIMESTAMP].to_numpy()
    stray = int(_STRAY_SHARE * len(times))
    ordered = np.partition(times, (stray, len(times) - 1 - stray))
    return RatingSample(
        keys=hashes[rows],
        stars=chosen[features.RATING].to_numpy().astype(np.float32),
        times=times[rows].astype(np.int64),
        movies=_movie_digests(chosen),
        users=_user_digests(chosen),
        spans=_spans(ratings[ROW].to_numpy()[rows], raw.span_rows, span_numbers),
        oldest=int(ordered[stray]),
        newest=int(ordered[-1 - stray]),
        first_span=span_numbers[0] if span_numbers else 0,
    )


def encode(sample: RatingSample) -> bytes:
    """Returns a sample as the content of a file."""
    buffer = io.BytesIO()
    known = {name: value for name, value in vars(sample).items() if value is not None}
    np.savez_compressed(buffer, **known)
    return buffer.getvalue()


def decode(content: bytes) -> RatingSample:
    """Returns the sample that `encode` wrote, perhaps before it wrote spans and users."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        columns = {name: stored[name] for name in ("keys", "stars", "times", "movies")}
        has_spans = "spans" in stored
        return RatingSample(
            **columns,
            users=stored.get("users"),
            spans=stored["spans"] if has_spans else np.full_like(columns["times"], _NO_SPAN),
            oldest=int(stored["oldest"]),
            newest=int(stored["newest"]),
            first_span=int(stored["first_span"]) if has_spans else 0,
        )


def write(folder: str, sample: RatingSample) -> None:
    """Writes the sample into the folder of the examples artifact."""
    with fileio.open(os.path.join(folder, SAMPLE_FILE), "wb") as file:
        file.write(encode(sample))


def read(folder: str) -> RatingSample:
    """Returns the sample of an examples artifact."""
    with fileio.open(os.path.join(folder, SAMPLE_FILE), "rb") as file:
        return decode(file.read())


def _spans(rows: Spans, span_rows: Sequence[int], numbers: Sequence[int]) -> Spans:
    """Returns the number of the span of each row."""
    if not numbers:
        return np.full_like(rows, _NO_SPAN)
    starts = np.cumsum([0, *span_rows[:-1]])
    return np.array(numbers, np.int64)[np.searchsorted(starts, rows, side="right") - 1]


def _movie_digests(ratings: pa.Table) -> Digests:
    described = zip(
        ratings[features.MOVIE_TITLE].to_pylist(),
        ratings[features.MOVIE_GENRES].to_pylist(),
        strict=True,
    )
    # The order of genres has no meaning.
    return _digests([title or "", *sorted(genres or ())] for title, genres in described)


def _user_digests(ratings: pa.Table) -> Digests:
    if features.USER_AGE not in ratings.column_names:
        return np.zeros(len(ratings), np.uint64)
    described = zip(
        ratings[features.USER_AGE].to_pylist(),
        ratings[features.USER_GENDER].to_pylist(),
        ratings[features.USER_OCCUPATION].to_pylist(),
        strict=True,
    )
    # Many people have a birthday in each week, and few a tenth one.
    return _digests(
        ["" if age is None else str(age // _YEARS), gender or "", occupation or ""]
        for age, gender, occupation in described
    )


def _digests(rows: Iterable[Iterable[str]]) -> Digests:
    texts = (_SEPARATOR.join(row) for row in rows)
    digests = (hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest() for text in texts)
    return np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)
