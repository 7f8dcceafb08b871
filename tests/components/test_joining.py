import pyarrow as pa
import pytest
import tensorflow as tf
from tfx_bsl.coders import example_coder

from components.errors import DataError
from components.movielens_example_gen import joining
from components.movielens_example_gen.readers.edition import RawRatings

RATINGS = pa.table(
    {
        "row": pa.array([0, 1, 2]),
        "user_id": ["8", "7", "8"],
        "movie_id": ["2", "1", "404"],
        "rating": pa.array([0.0, 4.5, 1.0], pa.float32()),
        "timestamp": pa.array([0, 11, 12], pa.int64()),
    }
)
MOVIES = pa.table(
    {
        "movie_id": ["1", "2"],
        "movie_title": ["Heat (1995)", "Amélie (2001)"],
        "movie_genres": pa.array([["Action", "Crime"], []], pa.list_(pa.string())),
    }
)
USERS = pa.table({"user_id": ["7", "8"], "user_age": [24, None], "user_gender": ["F", "M"]})


def examples(raw: RawRatings) -> list[dict[str, list[object]]]:
    """Returns the columns that a reader of the records sees."""
    table = joining.to_list_columns(joining.join(RATINGS, raw)).combine_chunks()
    encoded = example_coder.RecordBatchToExamplesEncoder().encode(table.to_batches()[0])
    found = []
    for record in encoded:
        parsed = tf.train.Example.FromString(record).features.feature
        found.append(
            {
                name: list(getattr(feature, feature.WhichOneof("kind")).value)
                for name, feature in parsed.items()
                if feature.WhichOneof("kind")
            }
        )
    return found


def test_rows_keep_their_order_and_get_their_movie_and_user() -> None:
    first, second, third = examples(RawRatings(RATINGS, MOVIES, USERS))
    assert first == {
        "user_id": [b"8"],
        "movie_id": [b"2"],
        "rating": [0.0],
        "timestamp": [0],
        "movie_title": ["Amélie (2001)".encode()],
        "user_gender": [b"M"],
    }
    assert second["movie_genres"] == [b"Action", b"Crime"]
    assert second["user_age"] == [24]
    assert third["user_gender"] == [b"M"]


def test_what_the_catalogue_lacks_is_left_out_and_the_row_stays() -> None:
    third = examples(RawRatings(RATINGS, MOVIES))[2]
    assert third == {
        "user_id": [b"8"],
        "movie_id": [b"404"],
        "rating": [1.0],
        "timestamp": [12],
    }


def test_ratings_without_movies_stay_as_they_are() -> None:
    assert examples(RawRatings(RATINGS))[1] == {
        "user_id": [b"7"],
        "movie_id": [b"1"],
        "rating": [4.5],
        "timestamp": [11],
    }
    joining.require_matching_ids(RATINGS, RawRatings(RATINGS))


def test_movies_of_another_edition_are_refused_with_ids_of_both() -> None:
    many = pa.table({**RATINGS.to_pydict(), "movie_id": ["91", "92", "91"]})
    with pytest.raises(DataError, match=r"none of the 3 ratings .* of 91, 92, and movies are 1, 2"):
        joining.require_matching_ids(many, RawRatings(many, MOVIES))
    with pytest.raises(DataError, match=r"only 66\.7% of the 3 ratings"):
        joining.require_matching_ids(RATINGS, RawRatings(RATINGS, MOVIES))
    known = RATINGS.slice(0, 2)
    joining.require_matching_ids(known, RawRatings(known, MOVIES))
