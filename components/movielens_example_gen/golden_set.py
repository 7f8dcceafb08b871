"""The golden set: trusted ratings that every model is judged on and none is trained on."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tfx.dsl.io import fileio

from components.errors import DataError
from components.movielens_example_gen import (
    cleaning,
    input_files,
    joining,
    rating_scale,
    reading,
    recognition,
)
from components.movielens_example_gen.options import IngestOptions
from components.movielens_example_gen.readers import EDITIONS
from components.movielens_example_gen.readers.edition import InputFile
from components.movielens_example_gen.splits import Codes
from models import features

WITHHELD: Final = -1
"""Code of a rating in no split."""

_KEY: Final = "gate.golden_set"
_REMEDY: Final = "expected the ratings of one edition"
_SEPARATOR: Final = "\0"
# Another release corrects some titles.
_MOST_OTHER_TITLES: Final = 0.5
# Another edition may have half a star too.
_MOST_OUTSIDE: Final = 0.1


def folder(examples: str) -> str:
    """Returns the folder of the golden set inside an artifact of examples.

    It is laid out as a split, but is not among the names of the splits: no step but the Gate reads
    it.
    """
    return os.path.join(examples, f"Split-{features.GOLDEN}")


def files(base: str) -> list[InputFile]:
    """Returns the files of a golden set, whose edition is recognised.

    Raises:
        DataError: There are no ratings, or more than one edition.
    """
    try:
        return input_files.find(base, EDITIONS[recognition.recognise(base, _REMEDY)])
    except DataError as error:
        raise DataError(f"{_KEY}: {error}") from error


def fingerprint(data: str, base: str | None) -> str:
    """Returns the digest of the data with that of the golden set, if there is one.

    Args:
        data: Digest of the data.
        base: Folder, zip archive or file of the golden set; None without one.

    Raises:
        DataError: A file is missing.
    """
    return data if base is None else f"{data} golden set {input_files.fingerprint(files(base))}"


def read(base: str, options: IngestOptions) -> pa.Table:
    """Returns the ratings of a golden set, read and cleaned as the data is.

    Args:
        base: Folder, zip archive or file of the golden set.
        options: Options of the data. Its edition does not count: that of the set is recognised.

    Raises:
        DataError: The files cannot be read, or too many rows cannot be ratings.
    """
    try:
        own = options.model_copy(
            update={"edition": recognition.recognise(base, _REMEDY), "window": None}
        )
        raw, cleaned = reading.read(base, own)
        cleaning.require_few_rejected(cleaned, raw.ratings.num_rows, own.max_rejected_fraction)
        return joining.join(cleaned.accepted, raw)
    except DataError as error:
        raise DataError(f"{_KEY}: {error}") from error


def require_comparable(ratings: pa.Table, movies: pa.Table | None, golden: pa.Table) -> None:
    """Checks that the golden set has the scale of the ratings, and names movies as they do.

    The numbers of two editions of MovieLens are of different movies.

    Args:
        ratings: Table of the ratings.
        movies: Movies of the data by `movie_id`; None if there are none.
        golden: Ratings of the golden set with titles, where it has them.

    Raises:
        DataError: Many ratings are not on the scale of the data, none is of a movie of the data,
            or most of those with a title are of a movie that has another one there.
    """
    # Broken ratings may have a part of the scale, and are no fault of the golden set.
    lowest, highest = rating_scale.containing(
        *pc.min_max(ratings[features.RATING]).as_py().values()
    )
    stars = golden[features.RATING]
    outside = pc.mean(pc.or_(pc.less(stars, lowest), pc.greater(stars, highest))).as_py()
    if outside > _MOST_OUTSIDE:
        raise DataError(
            f"{_KEY}: {outside:.0%} of its ratings are not on the scale of the data, {lowest:g} to "
            f"{highest:g}; expected the same scale"
        )
    ids = golden[features.MOVIE_ID]
    if not pc.any(pc.is_in(ids, value_set=pc.unique(ratings[features.MOVIE_ID]))).as_py():
        raise DataError(
            f"{_KEY}: none of its {golden.num_rows} ratings is of a movie of the data, such as "
            f"{ratings[features.MOVIE_ID][0]}; it has {ids[0]}; expected the same ids"
        )
    if movies is None:
        return
    places = pc.index_in(ids, value_set=movies[features.MOVIE_ID].combine_chunks())
    theirs = movies[features.MOVIE_TITLE].take(places)
    ours = golden[features.MOVIE_TITLE]
    differs = pc.not_equal(ours, theirs)
    # Without a title on either side there is nothing to compare.
    share = pc.mean(differs).as_py() or 0.0
    if share > _MOST_OTHER_TITLES:
        row = pc.index(differs, True).as_py()
        raise DataError(
            f"{_KEY}: {share:.0%} of its ratings are of a movie that has another title in the "
            f"data: {ids[row]} is {ours[row].as_py()!r}, and {theirs[row].as_py()!r} there; "
            "expected the ids of one edition"
        )


def withhold(codes: Codes, ratings: pa.Table, golden: pa.Table) -> Codes:
    """Returns the splits of the ratings, where those of pairs in the golden set are in none.

    Args:
        codes: Split of each rating, int8 `[n]`.
        ratings: Table of n ratings.
        golden: Ratings of the golden set.

    Raises:
        DataError: Nothing is left of a split.
    """
    kept = np.where(_has_pair(ratings, golden), np.int8(WITHHELD), codes)
    for code, name in enumerate(features.SPLITS):
        if not np.any(kept == code):
            raise DataError(
                f"{_KEY}: it has all ratings of the {name} split; expected a small part of the "
                "ratings, or others"
            )
    return kept


def _has_pair(ratings: pa.Table, golden: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Returns whether the golden set has a rating's pair of user and movie, bool `[n]`."""
    ours, theirs = (
        pc.binary_join_element_wise(
            table[features.USER_ID], table[features.MOVIE_ID], _SEPARATOR
        ).combine_chunks()
        for table in (ratings, golden)
    )
    return np.asarray(pc.is_in(ours, value_set=theirs))


def exists(examples: str) -> bool:
    """Returns whether an artifact of examples has a golden set."""
    return bool(fileio.exists(folder(examples)))
