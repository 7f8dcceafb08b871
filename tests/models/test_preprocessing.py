"""The Transform step on a handful of ratings, against counts made by hand."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.coders import ExampleProtoCoder
from tensorflow_transform.tf_metadata import schema_utils

from components.transform.analysis import Analysis
from models import preprocessing
from models.activity import activity_slice
from models.catalogue import read_catalogue
from models.side_features import SideFeatures

SPEC = {
    "user_id": tf.io.FixedLenFeature([], tf.string),
    "movie_id": tf.io.FixedLenFeature([], tf.string),
    "rating": tf.io.FixedLenFeature([], tf.float32),
    "timestamp": tf.io.FixedLenFeature([], tf.int64),
    "movie_title": tf.io.VarLenFeature(tf.string),
    "movie_genres": tf.io.VarLenFeature(tf.string),
    "user_age": tf.io.VarLenFeature(tf.int64),
    "user_gender": tf.io.VarLenFeature(tf.string),
    "user_occupation": tf.io.VarLenFeature(tf.string),
}


def row(user: str, movie: str, rating: float, title: list[str], genres: list[str]) -> dict:
    return {
        "user_id": user.encode(),
        "movie_id": movie.encode(),
        "rating": rating,
        "timestamp": 119,
        "movie_title": [text.encode() for text in title],
        "movie_genres": [text.encode() for text in genres],
        "user_age": [34] if user == "u1" else [],
        "user_gender": [b"F"] if user != "u3" else [],
        "user_occupation": [b"a writer"] if user == "u1" else [],
    }


HEAT = (["Heat (1995)"], ["Action", "Crime"])
AMELIE = (["Amélie, or: a\ttab"], ["Comedy"])
UNTITLED: tuple[list[str], list[str]] = ([], [])
TRAIN = [
    row("u1", "m1", 4.0, *HEAT),
    row("u1", "m2", 5.0, *AMELIE),
    row("u1", "m3", 1.5, *UNTITLED),
    row("u2", "m1", 3.0, *HEAT),
    row("u2", "m2", 2.0, *AMELIE),
    row("u3", "m1", 0.5, *HEAT),
]


@pytest.fixture(scope="module")
def transform() -> tft.TFTransformOutput:
    return fit({})


def fit(options: dict, train: list[dict] = TRAIN) -> tft.TFTransformOutput:
    folder = Path(tempfile.mkdtemp())
    schema = schema_utils.schema_from_feature_spec(SPEC)
    examples = str(folder / "examples.gz")
    with tf.io.TFRecordWriter(examples, "GZIP") as writer:
        for one in train:
            writer.write(ExampleProtoCoder(schema).encode(one))
    analysis = Analysis(
        lambda inputs: preprocessing.preprocessing_fn(inputs, {"transform": options}),
        schema,
        str(folder / "tmp"),
    )
    analysis.add([examples])
    analysis.write(str(folder))
    return tft.TFTransformOutput(str(folder))


def apply(transform: tft.TFTransformOutput, **ids: list[str]) -> dict[str, np.ndarray]:
    inputs = {name: tf.constant(values) for name, values in ids.items()}
    return {
        name: value.numpy() for name, value in transform.transform_features_layer()(inputs).items()
    }


def test_indices_follow_the_counts_and_the_unknown_come_last(
    transform: tft.TFTransformOutput,
) -> None:
    found = apply(
        transform, user_id=["u1", "u2", "u3", "nobody"], movie_id=["m1", "m2", "m3", "m404"]
    )
    assert found["user_index"].tolist() == [0, 1, 2, 3]
    assert found["movie_index"].tolist() == [0, 1, 2, 3]
    assert found["user_rating_count"].tolist() == [3, 2, 1, 0]
    assert found["movie_rating_count"].tolist() == [3, 2, 1, 0]


def test_catalogue_has_every_movie_with_its_title(transform: tft.TFTransformOutput) -> None:
    catalogue = read_catalogue(transform)
    assert catalogue.user_ids == ["u1", "u2", "u3"]
    assert catalogue.user_rating_counts == [3, 2, 1]
    assert catalogue.movie_ids == ["m1", "m2", "m3"]
    assert catalogue.movie_titles == ["Heat (1995)", "Amélie, or: a\ttab", ""]
    assert catalogue.movie_genres == [["Action", "Crime"], ["Comedy"], []]


def test_side_features_are_those_of_each_user_and_movie_of_which_some_are_known(
    transform: tft.TFTransformOutput,
) -> None:
    users, movies = read_catalogue(transform).sides

    def of_rows(side: SideFeatures) -> set[tuple[int, str]]:
        return {(row, side.names[place]) for row, place in zip(side.row, side.feature, strict=True)}

    assert of_rows(users) == {
        (0, "age=30"), (0, "gender=F"), (0, "occupation=a writer"), (1, "gender=F"),
    }  # fmt: skip
    assert of_rows(movies) == {
        (0, "genre=Action"), (0, "genre=Crime"), (0, "year=1995"), (1, "genre=Comedy"),
    }  # fmt: skip


def test_genres_are_a_multi_hot_over_those_of_train(transform: tft.TFTransformOutput) -> None:
    genres = transform.vocabulary_by_name("genre_vocabulary")
    assert sorted(genres) == [b"Action", b"Comedy", b"Crime"]
    rows = [["Crime", "Action"], [], ["Comedy", "Western"]]
    ragged = tf.ragged.constant(rows, dtype=tf.string).to_sparse()
    found = transform.transform_features_layer()({"movie_genres": ragged})["genres_multi_hot"]
    expected = [[float(genre.decode() in row) for genre in genres] for row in rows]
    assert found.numpy().tolist() == expected


def test_rating_mean_is_that_of_train(transform: tft.TFTransformOutput) -> None:
    found = transform.transform_features_layer()({"rating": tf.constant([1.0, 5.0])})
    mean = np.mean([4.0, 5.0, 1.5, 3.0, 2.0, 0.5])
    np.testing.assert_allclose(found["rating_mean"], [mean, mean], rtol=1e-6)


def test_when_it_was_rated_is_in_whole_minutes(transform: tft.TFTransformOutput) -> None:
    after_2038 = 2_200_000_000
    found = apply(transform, timestamp=[0, 59, 60, after_2038])["rated_at"]
    assert found.tolist() == [0, 0, 1, after_2038 // 60]


@pytest.mark.slow
def test_rare_users_and_movies_can_be_left_out_and_nothing_need_be_known_of_users() -> None:
    nothing: dict[str, list] = {"user_age": [], "user_gender": [], "user_occupation": []}
    train = [{**one, **nothing} for one in TRAIN]
    transform = fit({"min_ratings_per_user": 2, "min_ratings_per_movie": 3}, train)
    found = apply(transform, user_id=["u1", "u2", "u3"], movie_id=["m1", "m2", "m3"])
    assert found["user_index"].tolist() == [0, 1, 2]
    assert found["movie_index"].tolist() == [0, 1, 1]
    catalogue = read_catalogue(transform)
    assert catalogue.movie_ids == ["m1"]
    assert catalogue.sides.users.names == ()
    assert catalogue.sides.movies.names == ("genre=Action", "genre=Crime", "year=1995")


@pytest.mark.parametrize(
    ("count", "name"),
    [(0, "0"), (1, "1-20"), (20, "1-20"), (21, "21-50"), (100, "51-100"), (101, "101-200"),
     (200, "101-200"), (201, "201+"), (9999, "201+")],
)  # fmt: skip
def test_activity(count: int, name: str) -> None:
    found = activity_slice(tf.constant([count], tf.int64))
    assert found.numpy().tolist() == [name.encode()]
