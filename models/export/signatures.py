"""The exported model: raw ids in, ratings and recommendations out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import features
from models.catalogue import Catalogue
from models.contracts import RankingModel, predicts_ratings
from models.errors import TrainingDivergedError
from models.export.rating_head import Pairs
from models.export.row_parts import in_row_parts
from models.export.top_k import QUERIES_AT_ONCE, top_k
from models.options import ModelOptions
from models.ranking import dot_products, rank_of, without_seen
from models.seen_movies import SeenMovies
from models.signature_names import (
    EXAMPLES,
    EXCLUDE,
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

# Of one request that ranks: rows times movies of the catalogue, rows times k, ratings in a row.
MAX_SCORES: Final = 100_000_000
MAX_ANSWERS: Final = 1_000_000
MAX_RATINGS: Final = 10_000

_RAW_IDS = {
    features.USER_ID: tf.io.FixedLenFeature([], tf.string),
    features.MOVIE_ID: tf.io.FixedLenFeature([], tf.string),
}


class Recommender(tf.Module):
    """A trained model with its Transform graph and its catalogue, as one SavedModel.

    Holds each vector once, by which it rates and ranks, and the tables that serving needs; nothing
    of the model that was trained. Which signatures there are depends on whether the model predicts
    ratings and whether it is judged by its ranking.
    """

    def __init__(
        self,
        model: RankingModel,
        options: ModelOptions,
        rating_range: tuple[float, float],
        transform: tft.TFTransformOutput,
        catalogue: Catalogue,
        seen: SeenMovies,
        popularity: np.ndarray[Any, np.dtype[np.int64]],
    ) -> None:
        """Builds the tables.

        Args:
            model: trained; its tables end with a row for the unknown id.
            options: of the model.
            rating_range: the lowest and the highest training rating.
            transform: the Transform output whose indices the model was trained on.
            catalogue: the same indices, by name.
            seen: what `recommend` leaves out.
            popularity: how often each movie was rated in training, `[movies]`.
        """
        super().__init__()
        # Assigning makes the SavedModel carry its assets and tables.
        self.transform_layer = transform.transform_features_layer()
        if predicts_ratings(model):
            self.rating_head = model.rating_head()
        self._retrieves = options.retrieves
        self._dimension = options.dimension
        self._rating_range = rating_range
        self._score_of = model.score_of
        self._fold_in = model.fold_in()
        # The last row of the vectors, the unknown movie's, is for ratings; it is never ranked.
        self._movies = len(catalogue.movie_ids)
        self.user_vectors = tf.Variable(model.user_vectors(), trainable=False)
        self.movie_vectors = tf.Variable(model.movie_vectors(), trainable=False)
        self.movie_ids = tf.Variable(tf.constant(catalogue.movie_ids), trainable=False)
        self.movie_titles = tf.Variable(tf.constant(catalogue.movie_titles), trainable=False)
        directions = self.movie_vectors[: self._movies, : options.dimension]
        norms = np.linalg.norm(directions.numpy(), axis=1)
        # A movie that points nowhere is like none.
        inverse = np.where(norms > 0, 1 / np.where(norms > 0, norms, 1), 0)
        self.movie_inverse_norms = tf.Variable(inverse.astype(np.float32), trainable=False)
        self.movie_popularity = tf.Variable(popularity.astype(np.float32), trainable=False)
        self.seen_movie_index = tf.Variable(seen.movie_index, trainable=False)
        self.seen_row_splits = tf.Variable(seen.row_splits, trainable=False)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The concrete functions to save, by signature name."""
        strings = tf.TensorSpec([None], tf.string)
        examples = tf.TensorSpec([None], tf.string, name=EXAMPLES)
        lists = tf.TensorSpec([None, None], tf.string)
        stars = tf.TensorSpec([None, None], tf.float32)
        k = tf.TensorSpec([], tf.int32)
        found = {
            TRANSFORM_FEATURES: self.transform_examples.get_concrete_function(examples),
            RECOMMEND: self.recommend.get_concrete_function(strings, k),
            RECOMMEND_EXCLUDING: self.recommend_excluding.get_concrete_function(strings, k, lists),
            RECOMMEND_FOR_RATINGS: self.recommend_for_ratings.get_concrete_function(
                lists, stars, k
            ),
            SIMILAR: self.similar.get_concrete_function(strings, k),
        }
        if hasattr(self, "rating_head"):
            found[SERVING_DEFAULT] = self.rate_examples.get_concrete_function(examples)
            found[PREDICT] = self.predict.get_concrete_function(strings, strings)
        else:
            found[SERVING_DEFAULT] = self.score_examples.get_concrete_function(examples)
        return found

    @tf.function
    def rate_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """`rating` float32 `[B]` for serialized tf.Examples `[B]` with user_id and movie_id."""
        ids = tf.io.parse_example(examples, _RAW_IDS)
        return self.predict(ids[features.USER_ID], ids[features.MOVIE_ID])

    @tf.function
    def score_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """`score` float32 `[B]` for serialized tf.Examples `[B]` with user_id and movie_id.

        An unknown movie gets −inf: it cannot be retrieved.
        """
        index = self.transform_layer(tf.io.parse_example(examples, _RAW_IDS))
        pairs = self._pairs(index)
        dot = tf.reduce_sum(pairs.user_vectors * pairs.movie_vectors, axis=1)
        score = tf.where(pairs.movie_index < self._movies, dot, -np.inf)
        return {SCORE: self._score_of(score)}

    @tf.function
    def transform_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """What an evaluation needs of serialized tf.Examples `[B]` with user_id and movie_id.

        Returns:
            `user_activity` string `[B]`; of retrieval models `rank` and `popularity_rank` int64
            `[B]` too, the latter in the order of how often a movie is rated; of these B is bounded
            as in `recommend`, which no batch of the Evaluator exceeds.
        """
        if self._retrieves:
            examples = self._within_scores(examples)
        transformed = self.transform_layer(tf.io.parse_example(examples, _RAW_IDS))
        found = {features.USER_ACTIVITY: transformed[features.USER_ACTIVITY]}
        if self._retrieves:
            users, movies = transformed[features.USER_INDEX], transformed[features.MOVIE_INDEX]
            found[RANK], found[POPULARITY_RANK] = in_row_parts(
                lambda rows: self._ranks(users[rows], movies[rows]),
                tf.size(users),
                QUERIES_AT_ONCE,
                [tf.TensorSpec([None], tf.int64)] * 2,
            )
        return found

    @tf.function
    def predict(self, user_id: tf.Tensor, movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """`rating` float32 `[B]` for user_id and movie_id string `[B]`, known or not."""
        user_id, movie_id = _in_rows(features.USER_ID, user_id, features.MOVIE_ID, movie_id)
        index = self.transform_layer({features.USER_ID: user_id, features.MOVIE_ID: movie_id})
        rating = self.rating_head(self._pairs(index))
        return {features.RATING: tf.clip_by_value(rating, *self._rating_range)}

    @tf.function
    def recommend(self, user_id: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """The k best movies for each user, best first, without those rated in training.

        Args:
            user_id: string `[B]`; an unknown user gets the movies with the best bias.
            k: int32 scalar; at most the catalogue's size is returned. B · k may be at most
                `MAX_ANSWERS`; B times the catalogue's size at most `MAX_SCORES`, or B at most
                `QUERIES_AT_ONCE`; here and in the other signatures that rank.

        Returns:
            `movie_id`, `movie_title` string and `score` float32, each `[B, k]`. The score is the
            predicted rating before it is clipped to the range of ratings, or the log-odds of a
            retrieval model. Where a user has fewer than k movies left, the rest of the row is
            empty strings with score -inf.
        """
        user_id, k = self._few(user_id, k)
        user_index = self._user_index(user_id)
        return self._ranked(
            tf.gather(self.user_vectors, user_index), self._seen(user_index), k, self._score_of
        )

    @tf.function
    def recommend_excluding(
        self, user_id: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """`recommend`, without some more movies.

        Args:
            user_id: string `[B]`.
            k: int32 scalar.
            exclude: movie ids, string `[B, M]`; unknown ones, as the empty string, exclude nothing.

        Returns:
            As `recommend` does.
        """
        user_id, k = self._few(user_id, k)
        user_id, exclude = _in_rows(features.USER_ID, user_id, EXCLUDE, exclude)
        user_index = self._user_index(user_id)
        more = tf.RaggedTensor.from_tensor(self._movie_index(exclude))
        excluded = tf.concat([self._seen(user_index), more], axis=1)
        return self._ranked(tf.gather(self.user_vectors, user_index), excluded, k, self._score_of)

    @tf.function
    def recommend_for_ratings(
        self, movie_id: tf.Tensor, rating: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The k best movies for somebody new, from a few of their ratings.

        Args:
            movie_id: what each has rated, string `[B, N]` with N up to `MAX_RATINGS`; an unknown
                one, as the empty string, does not count.
            rating: finite float32 `[B, N]`, taken into the range of the training ratings.
            k: int32 scalar.

        Returns:
            As `recommend` does, without what they rated. Who rated nothing is an unknown user.
        """
        movie_id, k = self._few(movie_id, k)
        movie_id, rating = _in_rows(features.MOVIE_ID, movie_id, features.RATING, rating)
        width = tf.shape(movie_id)[1]
        few = _expect(width <= MAX_RATINGS, f"at most {MAX_RATINGS} ratings in a row", width)
        finite = _expect(
            tf.reduce_all(tf.math.is_finite(rating)), f"{features.RATING} of finite numbers", rating
        )
        with tf.control_dependencies([few, finite]):
            rating = tf.clip_by_value(rating, *self._rating_range)
        movie_index = self._movie_index(movie_id)
        # What is kept of all rows at once is their vectors, not those of the movies they rated.
        (vectors,) = in_row_parts(
            lambda rows: [self._new_users_vectors(movie_index[rows], rating[rows])],
            tf.shape(movie_id)[0],
            MAX_RATINGS // tf.clip_by_value(tf.shape(movie_id)[1], 1, MAX_RATINGS),
            [tf.TensorSpec([None, self.movie_vectors.shape[1]], tf.float32)],
        )
        return self._ranked(vectors, tf.RaggedTensor.from_tensor(movie_index), k, self._score_of)

    @tf.function
    def similar(self, movie_id: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """The k movies whose vectors point most nearly where each movie's does, without itself.

        Args:
            movie_id: string `[B]`.
            k: int32 scalar.

        Returns:
            `movie_id`, `movie_title` string and `score` float32, the cosine, each `[B, k]`. For an
            unknown movie the row is empty strings with score -inf.
        """
        movie_id, k = self._few(movie_id, k)
        movie_index = self._movie_index(movie_id)
        known = movie_index < self._movies
        own = tf.where(known, movie_index, 0)
        directions = (
            tf.gather(self.movie_vectors, own)[:, : self._dimension]
            * tf.gather(self.movie_inverse_norms, own)[:, tf.newaxis]
        )
        biases = self.movie_vectors.shape[1] - self._dimension
        return self._ranked(
            tf.pad(directions, [[0, 0], [0, biases]]),
            tf.RaggedTensor.from_tensor(own[:, tf.newaxis]),
            k,
            lambda dot: tf.where(known[:, tf.newaxis], dot, -np.inf),
            self.movie_inverse_norms,
        )

    def _ranked(
        self,
        queries: tf.Tensor,
        excluded: tf.RaggedTensor,
        k: tf.Tensor,
        score_of: Callable[[tf.Tensor], tf.Tensor],
        scale: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """What the signatures that rank return.

        Args:
            queries: `[B, d]`; see `top_k` for this and the next two.
            excluded: `[B, (excluded)]`.
            k: of `_few`.
            score_of: of dot products `[B, k]`; where it gives −inf there is no answer.
            scale: see `top_k`.
        """
        dot, position = top_k(queries, self.movie_vectors, self._movies, excluded, k, scale)
        score = tf.where(tf.math.is_finite(dot), score_of(dot), -np.inf)
        found = tf.math.is_finite(score)
        return {
            features.MOVIE_ID: tf.where(found, tf.gather(self.movie_ids, position), ""),
            features.MOVIE_TITLE: tf.where(found, tf.gather(self.movie_titles, position), ""),
            SCORE: score,
        }

    def _few(self, ids: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The ids, and k within the catalogue's size, if a request may have so many rows.

        What is done for each row is to come after it.
        """
        k = tf.clip_by_value(k, 0, self._movies)
        answers = tf.shape(ids, tf.int64)[0] * tf.cast(k, tf.int64)
        few = _expect(answers <= MAX_ANSWERS, f"at most {MAX_ANSWERS} rows times k", answers)
        ids = self._within_scores(ids)
        with tf.control_dependencies([few]):
            return tf.identity(ids), k

    def _within_scores(self, rows: tf.Tensor) -> tf.Tensor:
        """The rows, if every movie of the catalogue may get a score for so many.

        Args:
            rows: of any dtype and shape.
        """
        scores = tf.shape(rows, tf.int64)[0] * self._movies
        # A catalogue of any size can be asked for a batch.
        limit = max(MAX_SCORES, QUERIES_AT_ONCE * self._movies)
        catalogue = f"the {self._movies} movies of the catalogue"
        few = _expect(scores <= limit, f"at most {limit} rows times {catalogue}", scores)
        with tf.control_dependencies([few]):
            return tf.identity(rows)

    def _pairs(self, index: dict[str, tf.Tensor]) -> Pairs:
        """Known or not, with their vectors."""
        users, movies = index[features.USER_INDEX], index[features.MOVIE_INDEX]
        return Pairs(
            users,
            movies,
            tf.gather(self.user_vectors, users),
            tf.gather(self.movie_vectors, movies),
        )

    def _new_users_vectors(self, movie_index: tf.Tensor, rating: tf.Tensor) -> tf.Tensor:
        """`[B, d]` for int32 and float32 `[B, N]`."""
        vectors = tf.gather(self.movie_vectors, movie_index)
        return self._fold_in(vectors, rating, movie_index < self._movies)

    def _user_index(self, user_id: tf.Tensor) -> tf.Tensor:
        """int64 `[B]`."""
        return self.transform_layer({features.USER_ID: user_id})[features.USER_INDEX]

    def _movie_index(self, movie_id: tf.Tensor) -> tf.Tensor:
        """int32, of the shape of the ids; the catalogue's size for an unknown one."""
        flat = self.transform_layer({features.MOVIE_ID: tf.reshape(movie_id, [-1])})
        return tf.reshape(tf.cast(flat[features.MOVIE_INDEX], tf.int32), tf.shape(movie_id))

    def _ranks(self, users: tf.Tensor, movies: tf.Tensor) -> list[tf.Tensor]:
        """In the model's order and in that of popularity, int64 `[B]` each."""
        seen = self._seen(users)
        vectors = self.movie_vectors[: self._movies]
        dots = dot_products(tf.gather(self.user_vectors, users), vectors)
        popularity = tf.broadcast_to(self.movie_popularity, tf.shape(dots))
        return [
            tf.cast(rank_of(without_seen(scores, seen), movies), tf.int64)
            for scores in (dots, popularity)
        ]

    def _seen(self, user_index: tf.Tensor) -> tf.RaggedTensor:
        """What each user rated in training, int32 `[B, (movies)]`."""
        return tf.gather(
            tf.RaggedTensor.from_row_splits(
                self.seen_movie_index.read_value(),
                self.seen_row_splits.read_value(),
                validate=False,
            ),
            user_index,
        )


def _in_rows(
    left_name: str, left: tf.Tensor, right_name: str, right: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The two, if they have the same shape in as many dimensions as both have."""
    both = min(left.shape.rank, right.shape.rank)
    shapes = tf.shape(left)[:both], tf.shape(right)[:both]
    alike = _expect(
        tf.reduce_all(shapes[0] == shapes[1]),
        f"{left_name} and {right_name} with as many rows, as long where both are",
        *shapes,
    )
    with tf.control_dependencies([alike]):
        return tf.identity(left), tf.identity(right)


def _expect(condition: tf.Tensor, expected: str, *given: tf.Tensor) -> tf.Operation:
    """An operation that fails, as a request does, with what was expected and what was given.

    What must not run before it has to depend on it: nothing else decides which fails first.
    """
    return tf.debugging.Assert(condition, [f"expected {expected}, given", *given])


def save(recommender: Recommender, folder: str) -> None:
    """Writes the SavedModel with all signatures.

    Raises:
        TrainingDivergedError: a number in one of the tables is not finite. An infinite rating
            would be clipped to the range of ratings, and look like any other.
    """
    _check_finite(recommender)
    tf.saved_model.save(recommender, folder, signatures=recommender.signatures())


def _check_finite(recommender: Recommender) -> None:
    for module in (recommender, *recommender.submodules):
        for name, table in vars(module).items():
            if not isinstance(table, tf.Variable) or not table.dtype.is_floating:
                continue
            wrong = np.count_nonzero(~np.isfinite(table.numpy()))
            if wrong:
                raise TrainingDivergedError(
                    f"{name}: {wrong:,} of {table.shape.num_elements():,} numbers are not finite; "
                    "the model is not exported"
                )
