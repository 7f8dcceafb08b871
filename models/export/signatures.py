"""The exported model and its signatures: raw ids in, ratings and recommendations out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models import features
from models.activity import activity_slice
from models.catalogue import Catalogue
from models.contracts import Pairs, RankingModel, predicts_ratings
from models.export.id_index import IdIndex
from models.export.request_limits import (
    MAX_RATINGS,
    with_equal_rows,
    within_answers,
    within_ratings,
    within_scores,
)
from models.export.top_k import QUERIES_AT_ONCE, in_row_parts, top_k
from models.layers.embeddings import rows_to_serve
from models.options import ModelOptions
from models.ranking import dot_products, rank_of, without_seen
from models.seen_movies import SeenMovies
from models.signature_names import (
    EXAMPLES,
    EXCLUDE,
    MOVIES,
    POPULARITY_RANK,
    PREDICT,
    RANK,
    RECOMMEND,
    RECOMMEND_EXCLUDING,
    RECOMMEND_FOR_RATINGS,
    SCORE,
    SERVING_DEFAULT,
    SIMILAR,
    TRANSFORM_FEATURES,
)

_STRINGS: Final = tf.TensorSpec([None], tf.string)
_LISTS: Final = tf.TensorSpec([None, None], tf.string)
_STARS: Final = tf.TensorSpec([None, None], tf.float32)
_K: Final = tf.TensorSpec([], tf.int32)
_EXAMPLES: Final = tf.TensorSpec([None], tf.string, name=EXAMPLES)
_INPUTS: Final = {
    SERVING_DEFAULT: (_EXAMPLES,),
    TRANSFORM_FEATURES: (_EXAMPLES,),
    PREDICT: (_STRINGS, _STRINGS),
    RECOMMEND: (_STRINGS, _K),
    RECOMMEND_EXCLUDING: (_STRINGS, _K, _LISTS),
    RECOMMEND_FOR_RATINGS: (_LISTS, _STARS, _K),
    SIMILAR: (_STRINGS, _K),
    MOVIES: (_STRINGS,),
}

_RAW_IDS = {
    features.USER_ID: tf.io.FixedLenFeature([], tf.string),
    features.MOVIE_ID: tf.io.FixedLenFeature([], tf.string),
}


class Recommender(tf.Module):
    """A trained model with its catalogue, as one SavedModel that needs no file once it is loaded.

    It holds each vector once, for ratings and rankings alike, and the tables that serving needs.
    It holds nothing else of the trained model. Its signatures depend on whether the model predicts
    ratings and whether it retrieves.
    """

    def __init__(
        self,
        model: RankingModel,
        options: ModelOptions,
        rating_range: tuple[float, float],
        catalogue: Catalogue,
        seen: SeenMovies,
        popularity: np.ndarray[Any, np.dtype[np.int64]],
    ) -> None:
        """Builds the tables.

        Args:
            model: Trained model whose tables end with a row for unknown ids.
            options: Options of the model.
            rating_range: Lowest and highest training rating.
            catalogue: Ids, titles and numbers of ratings by the indices of the vectors.
            seen: Movies that `recommend` leaves out for each user.
            popularity: Number of training ratings of each movie, int64 `[movies]`.
        """
        super().__init__()
        self.user_index = IdIndex(catalogue.user_ids)
        self.movie_index = IdIndex(catalogue.movie_ids)
        # The unknown user's, who has rated nothing, comes last.
        counts = [*catalogue.user_rating_counts, 0]
        self.user_rating_counts = tf.Variable(tf.constant(counts, tf.int64), trainable=False)
        if predicts_ratings(model):
            self.rating_head = model.rating_head()
        self._retrieves = options.retrieves
        self._dimension = options.similarity_dimension
        self._rating_range = rating_range
        self._score_of = model.score_of
        self._fold_in = model.fold_in()
        # The last row of the vectors, the unknown movie's, only serves ratings.
        self._movies = len(catalogue.movie_ids)
        self.user_vectors = tf.Variable(model.user_vectors(), trainable=False)
        self.movie_vectors = tf.Variable(model.movie_vectors(), trainable=False)
        self.user_ids = tf.Variable(tf.constant(catalogue.user_ids, tf.string), trainable=False)
        self.movie_ids = tf.Variable(tf.constant(catalogue.movie_ids), trainable=False)
        self.movie_titles = tf.Variable(tf.constant(catalogue.movie_titles), trainable=False)
        directions = self.movie_vectors[: self._movies, : self._dimension]
        norms = np.linalg.norm(directions.numpy(), axis=1)
        # A movie whose vector is zero is similar to none.
        inverse = np.where(norms > 0, 1 / np.where(norms > 0, norms, 1), 0)
        self.movie_inverse_norms = tf.Variable(inverse.astype(np.float32), trainable=False)
        self.movie_popularity = tf.Variable(popularity.astype(np.float32), trainable=False)
        self.seen_movie_index = tf.Variable(seen.movie_index, trainable=False)
        self.seen_row_splits = tf.Variable(seen.row_splits, trainable=False)

    @cached_property
    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The concrete functions to save, by signature name."""
        methods: dict[str, Callable[..., dict[str, tf.Tensor]]] = {
            TRANSFORM_FEATURES: self.transform_examples,
            RECOMMEND: self.recommend,
            RECOMMEND_EXCLUDING: self.recommend_excluding,
            RECOMMEND_FOR_RATINGS: self.recommend_for_ratings,
            SIMILAR: self.similar,
            MOVIES: self.movies,
        }
        if hasattr(self, "rating_head"):
            methods |= {SERVING_DEFAULT: self.rate_examples, PREDICT: self.predict}
        else:
            methods[SERVING_DEFAULT] = self.score_examples
        return {name: _traced(method, _INPUTS[name]) for name, method in methods.items()}

    def rate_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `rating` float32 `[B]` for serialized tf.Examples of user_id and movie_id."""
        ids = tf.io.parse_example(examples, _RAW_IDS)
        return self.predict(ids[features.USER_ID], ids[features.MOVIE_ID])

    def score_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `score` float32 `[B]` for serialized tf.Examples of user_id and movie_id.

        An unknown movie gets −inf, since it cannot be retrieved.
        """
        ids = tf.io.parse_example(examples, _RAW_IDS)
        pairs = self._pairs(ids[features.USER_ID], ids[features.MOVIE_ID])
        dot = tf.reduce_sum(pairs.user_vectors * pairs.movie_vectors, axis=1)
        score = tf.where(pairs.movie_index < self._movies, dot, -np.inf)
        return {SCORE: self._score_of(score)}

    def transform_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what the Evaluator needs for serialized tf.Examples of user_id and movie_id.

        Args:
            examples: string `[B]`. For retrieval models B has the limit of `recommend`, which no
                batch of the Evaluator exceeds.

        Returns:
            `user_activity` string `[B]`. Retrieval models also return `rank` and
            `popularity_rank`, int64 `[B]`: the movie's rank by score and by number of ratings.
        """
        if self._retrieves:
            examples = within_scores(examples, self._movies)
        ids = tf.io.parse_example(examples, _RAW_IDS)
        users = self.user_index(ids[features.USER_ID])
        counts = rows_to_serve(self.user_rating_counts, users)
        outputs = {features.USER_ACTIVITY: activity_slice(counts)}
        if self._retrieves:
            movies = self.movie_index(ids[features.MOVIE_ID])
            outputs[RANK], outputs[POPULARITY_RANK] = in_row_parts(
                lambda rows: self._ranks(users[rows], movies[rows]),
                tf.size(users),
                QUERIES_AT_ONCE,
                [tf.TensorSpec([None], tf.int64)] * 2,
            )
        return outputs

    def predict(self, user_id: tf.Tensor, movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `rating` float32 `[B]` for any user_id and movie_id, string `[B]`."""
        user_id, movie_id = with_equal_rows(features.USER_ID, user_id, features.MOVIE_ID, movie_id)
        rating = self.rating_head(self._pairs(user_id, movie_id))
        return {features.RATING: tf.clip_by_value(rating, *self._rating_range)}

    def recommend(self, user_id: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the k best movies for each user, best first, without those rated in training.

        B · k is limited to `MAX_ANSWERS`, and B times the catalogue's size to `MAX_SCORES` unless B
        is at most `QUERIES_AT_ONCE`. The other signatures that rank have the same limits.

        Args:
            user_id: string `[B]`; an unknown user gets the movies with the highest bias.
            k: int32 scalar, limited to the catalogue's size.

        Returns:
            `movie_id`, `movie_title` string and `score` float32, each `[B, k]`. The score is the
            predicted rating before it is clipped to the range of ratings, or what a retrieval
            model ranks by. If a user has fewer than k movies left, the rest of the row has empty
            strings and score −inf.
        """
        user_id, k = within_answers(user_id, k, self._movies)
        user_index = self.user_index(user_id)
        return self._ranked(
            rows_to_serve(self.user_vectors, user_index), self._seen(user_index), k, self._score_of
        )

    def recommend_excluding(
        self, user_id: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns the movies of `recommend` without some more movies.

        Args:
            user_id: string `[B]`.
            k: int32 scalar.
            exclude: Ids of movies to leave out, string `[B, M]`; unknown ids, such as the empty
                string, have no effect.

        Returns:
            See `recommend`.
        """
        user_id, k = within_answers(user_id, k, self._movies)
        user_id, exclude = with_equal_rows(features.USER_ID, user_id, EXCLUDE, exclude)
        user_index = self.user_index(user_id)
        more = tf.RaggedTensor.from_tensor(tf.cast(self.movie_index(exclude), tf.int32))
        excluded = tf.concat([self._seen(user_index), more], axis=1)
        return self._ranked(
            rows_to_serve(self.user_vectors, user_index), excluded, k, self._score_of
        )

    def recommend_for_ratings(
        self, movie_id: tf.Tensor, rating: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns the k best movies for new users from a few of their ratings.

        Args:
            movie_id: Movies that each user rated, string `[B, N]` with N up to `MAX_RATINGS`;
                unknown ids, such as the empty string, do not count.
            rating: Finite ratings, float32 `[B, N]`, clipped to the range of the training ratings.
            k: int32 scalar.

        Returns:
            See `recommend`; the rated movies are left out. A user without ratings gets what an
            unknown user gets.
        """
        movie_id, k = within_answers(movie_id, k, self._movies)
        movie_id, rating = with_equal_rows(features.MOVIE_ID, movie_id, features.RATING, rating)
        rating = tf.clip_by_value(within_ratings(movie_id, rating), *self._rating_range)
        movie_index = tf.cast(self.movie_index(movie_id), tf.int32)
        # Memory holds the users' vectors of all rows, the rated movies' vectors only of a part.
        (vectors,) = in_row_parts(
            lambda rows: [self._new_users_vectors(movie_index[rows], rating[rows])],
            tf.shape(movie_id)[0],
            MAX_RATINGS // tf.clip_by_value(tf.shape(movie_id)[1], 1, MAX_RATINGS),
            [tf.TensorSpec([None, self.movie_vectors.shape[1]], tf.float32)],
        )
        return self._ranked(vectors, tf.RaggedTensor.from_tensor(movie_index), k, self._score_of)

    def similar(self, movie_id: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the k most similar movies for each movie by cosine similarity, without itself.

        Args:
            movie_id: string `[B]`.
            k: int32 scalar.

        Returns:
            `movie_id`, `movie_title` string and `score` float32, the cosine, each `[B, k]`. The row
            of an unknown movie has empty strings and score −inf.
        """
        movie_id, k = within_answers(movie_id, k, self._movies)
        movie_index = tf.cast(self.movie_index(movie_id), tf.int32)
        known = movie_index < self._movies
        own = tf.where(known, movie_index, 0)
        directions = (
            rows_to_serve(self.movie_vectors, own)[:, : self._dimension]
            * rows_to_serve(self.movie_inverse_norms, own)[:, tf.newaxis]
        )
        biases = self.movie_vectors.shape[1] - self._dimension
        return self._ranked(
            tf.pad(directions, [[0, 0], [0, biases]]),
            tf.RaggedTensor.from_tensor(own[:, tf.newaxis]),
            k,
            lambda dot: tf.where(known[:, tf.newaxis], dot, -np.inf),
            self.movie_inverse_norms,
        )

    def movies(self, movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the titles of movies.

        Args:
            movie_id: string `[B]`.

        Returns:
            `movie_id` and `movie_title`, string `[B]`, both empty for an unknown movie.
        """
        index = self.movie_index(movie_id)
        known = index < self._movies
        titles = rows_to_serve(self.movie_titles, tf.where(known, index, 0))
        return {
            features.MOVIE_ID: tf.where(known, movie_id, ""),
            features.MOVIE_TITLE: tf.where(known, titles, ""),
        }

    def _ranked(
        self,
        queries: tf.Tensor,
        excluded: tf.RaggedTensor,
        k: tf.Tensor,
        score_of: Callable[[tf.Tensor], tf.Tensor],
        scale: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Returns the outputs of the signatures that rank.

        Args:
            queries: Query vectors, float32 `[B, d]`.
            excluded: Movies to leave out, int32 `[B, (excluded)]`.
            k: Number of movies, from `within_answers`.
            score_of: Function from dot products to scores, `[B, k]`; −inf marks no answer.
            scale: Factor of each movie's dot products, float32 `[movies]`, or None.
        """
        dot, position = top_k(queries, self.movie_vectors, self._movies, excluded, k, scale)
        score = tf.where(tf.math.is_finite(dot), score_of(dot), -np.inf)
        found = tf.math.is_finite(score)
        return {
            features.MOVIE_ID: tf.where(found, rows_to_serve(self.movie_ids, position), ""),
            features.MOVIE_TITLE: tf.where(found, rows_to_serve(self.movie_titles, position), ""),
            SCORE: score,
        }

    def _pairs(self, user_id: tf.Tensor, movie_id: tf.Tensor) -> Pairs:
        """Returns pairs of users and movies, known or not, with their vectors."""
        users, movies = self.user_index(user_id), self.movie_index(movie_id)
        return Pairs(
            users,
            movies,
            rows_to_serve(self.user_vectors, users),
            rows_to_serve(self.movie_vectors, movies),
        )

    def _new_users_vectors(self, movie_index: tf.Tensor, rating: tf.Tensor) -> tf.Tensor:
        """Returns vectors, float32 `[B, d]`, for movies and their ratings, each `[B, N]`."""
        vectors = rows_to_serve(self.movie_vectors, movie_index)
        return self._fold_in(vectors, rating, movie_index < self._movies)

    def _ranks(self, users: tf.Tensor, movies: tf.Tensor) -> list[tf.Tensor]:
        """Returns the movies' ranks by score and by popularity, int64 `[B]` each."""
        seen = self._seen(users)
        vectors = self.movie_vectors[: self._movies]
        dots = dot_products(rows_to_serve(self.user_vectors, users), vectors)
        popularity = tf.broadcast_to(self.movie_popularity, tf.shape(dots))
        return [
            tf.cast(rank_of(without_seen(scores, seen), movies), tf.int64)
            for scores in (dots, popularity)
        ]

    def _seen(self, user_index: tf.Tensor) -> tf.RaggedTensor:
        """Returns the movies that each user rated in training, int32 `[B, (movies)]`."""
        return tf.gather(
            tf.RaggedTensor.from_row_splits(
                self.seen_movie_index.read_value(),
                self.seen_row_splits.read_value(),
                validate=False,
            ),
            user_index,
        )


def _traced(
    method: Callable[..., dict[str, tf.Tensor]], inputs: tuple[tf.TensorSpec, ...]
) -> tf.types.experimental.ConcreteFunction:
    """Traces a signature, with its inputs' shapes checked in the graph.

    TensorFlow Serving checks neither the rank nor the shape of inputs. Operations that trust the
    traced shape would return garbage for another one, or abort the process.

    Args:
        method: Method that computes the outputs.
        inputs: Types of the method's arguments.
    """

    @wraps(method)
    def checked(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        pairs = zip(tensors, inputs, strict=True)
        return method(*(tf.ensure_shape(tensor, spec.shape) for tensor, spec in pairs))

    # AutoGraph would only take time: loops over tensors are written as such.
    return tf.function(checked, autograph=False).get_concrete_function(*inputs)
