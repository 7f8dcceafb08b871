"""Joins ratings with their movies and users, and lays them out as tf.Example columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import DataError
from components.movielens_example_gen.cleaning import ROW
from components.movielens_example_gen.readers.edition import RawRatings
from models import features

# Missing movies are few; many mean that ratings and movies are not of one edition.
_LEAST_DESCRIBED = 0.95


def join(ratings: pa.Table, raw: RawRatings) -> pa.Table:
    """Adds title and genres and, if the edition has them, age, gender and occupation.

    The values of a movie or user that the catalogue lacks are null; the row stays.

    Returns:
        The ratings without `row`, in the same order.
    """
    joined = ratings.drop_columns([ROW])
    if raw.movies is None:
        nothing = pa.nulls(len(joined), pa.string())
        joined = joined.append_column(features.MOVIE_TITLE, nothing)
        joined = joined.append_column(
            features.MOVIE_GENRES, pa.nulls(len(joined), pa.list_(pa.string()))
        )
    else:
        joined = _left_join(joined, raw.movies, features.MOVIE_ID)
    return joined if raw.users is None else _left_join(joined, raw.users, features.USER_ID)


def require_matching_ids(ratings: pa.Table, raw: RawRatings) -> None:
    """Refuses movies that are not those of the ratings.

    Raises:
        DataError: Too many ratings are of movies that nothing describes. The message has ids of
            both.
    """
    if raw.movies is None or not ratings.num_rows:
        return
    described = raw.movies[features.MOVIE_ID].combine_chunks()
    known = pc.is_in(ratings[features.MOVIE_ID], value_set=described)
    share = pc.mean(known).as_py()
    if share >= _LEAST_DESCRIBED:
        return
    unknown = pc.unique(ratings[features.MOVIE_ID].filter(pc.invert(known)))
    found = "none" if not share else f"only {share:.1%}"
    raise DataError(
        f"{found} of the {ratings.num_rows} ratings are of a movie in the file of movies: ratings "
        f"are of {_some(unknown)}, and movies are {_some(described)}; both files must be of one "
        "edition"
    )


def _some(ids: pa.Array) -> str:
    shown = ", ".join(str(value) for value in ids[:3].to_pylist())
    return f"{shown}, …" if len(ids) > 3 else shown  # noqa: PLR2004


def to_list_columns(table: pa.Table) -> pa.Table:
    """Returns each value as a list of one, with text as bytes, as the tf.Example encoder expects.

    Null and the empty list become a null list: the Example then lacks the feature.
    """
    columns = {name: _as_lists(table[name].combine_chunks()) for name in table.column_names}
    return pa.table(columns)


def _left_join(left: pa.Table, right: pa.Table, key: str) -> pa.Table:
    positions = pc.index_in(left[key], value_set=right[key].combine_chunks())
    matches = right.drop_columns([key]).take(positions)
    for name in matches.column_names:
        left = left.append_column(name, matches[name])
    return left


def _as_lists(values: pa.Array) -> pa.Array:
    if pa.types.is_list(values.type):
        filled = pc.greater(pc.list_value_length(values), 0)
        return pc.cast(pc.if_else(filled, values, None), pa.list_(pa.binary()))
    if pa.types.is_string(values.type):
        values = pc.cast(values, pa.binary())
    missing = pc.is_null(values).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(~missing)]).astype(np.int32)
    # A null offset marks its list as null.
    marked = pa.array(offsets, mask=np.append(missing, False))
    return pa.ListArray.from_arrays(marked, values.drop_null())
