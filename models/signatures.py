"""The exported model: raw ids in, ratings and recommendations out."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import features
from models.catalogue import Catalogue
from models.contracts import RankingModel, predicts_ratings
from models.ranking import rank_of, without_seen
from models.seen_movies import SeenMovies
from models.signature_names import (
    POPULARITY_RANK,
    PREDICT,
    RANK,
    RECOMMEND,
    SCORE,
    SERVING_DEFAULT,
    TRANSFORM_FEATURES,
)

_RAW_IDS = {
    features.USER_ID: tf.io.FixedLenFeature([], tf.string),
    features.MOVIE_ID: tf.io.FixedLenFeature([], tf.string),
}


class Recommender(tf.Module):
    """A trained model with its Transform graph and its catalogue, as one SavedModel.

    Holds the weights and tables that serving needs, and nothing of training. Which signatures
    there are depends on whether the model predicts ratings and whether it is judged by its ranking.
    """

    def __init__(
        self,
        model: RankingModel,
        transform: tft.TFTransformOutput,
        catalogue: Catalogue,
        seen: SeenMovies,
        retrieves: bool,
    ) -> None:
        """Builds the tables.

        Args:
            model: trained; its tables end with a row for the unknown id.
            transform: the Transform output whose indices the model was trained on.
            catalogue: the same indices, by name.
            seen: what `recommend` leaves out.
            retrieves: whether the model is judged by its ranking.
        """
        super().__init__()
        # Assigning makes the SavedModel carry its assets and tables.
        self.transform_layer = transform.transform_features_layer()
        if predicts_ratings(model):
            self.model = model
        self._retrieves = retrieves
        self._score_of = model.score_of
        known_movies = len(catalogue.movie_ids)
        self.user_vectors = tf.Variable(model.user_vectors(), trainable=False)
        self.movie_vectors = tf.Variable(model.movie_vectors()[:known_movies], trainable=False)
        self.movie_ids = tf.Variable(tf.constant(catalogue.movie_ids), trainable=False)
        self.movie_titles = tf.Variable(tf.constant(catalogue.movie_titles), trainable=False)
        popularity = np.bincount(seen.movie_index, minlength=known_movies)
        self.movie_popularity = tf.Variable(popularity.astype(np.float32), trainable=False)
        self.seen_movie_index = tf.Variable(seen.movie_index, trainable=False)
        self.seen_row_splits = tf.Variable(seen.row_splits, trainable=False)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The concrete functions to save, by signature name."""
        strings = tf.TensorSpec([None], tf.string)
        examples = tf.TensorSpec([None], tf.string, name="examples")
        found = {
            TRANSFORM_FEATURES: self.transform_examples.get_concrete_function(examples),
            RECOMMEND: self.recommend.get_concrete_function(strings, tf.TensorSpec([], tf.int32)),
        }
        if hasattr(self, "model"):
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
        movie_index = tf.cast(index[features.MOVIE_INDEX], tf.int32)
        last = tf.shape(self.movie_vectors)[0] - 1
        users = tf.gather(self.user_vectors, index[features.USER_INDEX])
        movies = tf.gather(self.movie_vectors, tf.minimum(movie_index, last))
        score = tf.where(movie_index <= last, tf.reduce_sum(users * movies, axis=1), -np.inf)
        return {SCORE: self._score_of(score)}

    @tf.function
    def transform_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """What an evaluation needs of serialized tf.Examples `[B]` with user_id and movie_id.

        Returns:
            `user_activity` string `[B]`; of retrieval models `rank` and `popularity_rank` int64
            `[B]` too, the latter in the order of how often a movie is rated.
        """
        transformed = self.transform_layer(tf.io.parse_example(examples, _RAW_IDS))
        found = {features.USER_ACTIVITY: transformed[features.USER_ACTIVITY]}
        if self._retrieves:
            users, movies = transformed[features.USER_INDEX], transformed[features.MOVIE_INDEX]
            popularity = tf.tile(self.movie_popularity[tf.newaxis], [tf.size(users), 1])
            for name, scores in ((RANK, self._scores(users)), (POPULARITY_RANK, popularity)):
                rank = rank_of(without_seen(scores, self._seen(users)), movies)
                found[name] = tf.cast(rank, tf.int64)
        return found

    @tf.function
    def predict(self, user_id: tf.Tensor, movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """`rating` float32 `[B]` for user_id and movie_id string `[B]`, known or not."""
        index = self.transform_layer({features.USER_ID: user_id, features.MOVIE_ID: movie_id})
        rating = self.model.predict_rating(index[features.USER_INDEX], index[features.MOVIE_INDEX])
        return {features.RATING: rating}

    @tf.function
    def recommend(self, user_id: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """The k best movies for each user, best first, without those rated in training.

        Args:
            user_id: string `[B]`; an unknown user gets the movies with the best bias.
            k: int32 scalar; at most the catalogue's size is returned.

        Returns:
            `movie_id`, `movie_title` string and `score` float32, each `[B, k]`. The score is the
            predicted rating before it is clipped to the range of ratings, or the log-odds of a
            retrieval model. Where a user has fewer than k movies left, the rest of the row is
            empty strings with score -inf.
        """
        user_index = self.transform_layer({features.USER_ID: user_id})[features.USER_INDEX]
        scores = without_seen(self._scores(user_index), self._seen(user_index))
        score, position = tf.math.top_k(scores, tf.clip_by_value(k, 0, tf.shape(scores)[1]))
        left = tf.math.is_finite(score)
        return {
            features.MOVIE_ID: tf.where(left, tf.gather(self.movie_ids, position), ""),
            features.MOVIE_TITLE: tf.where(left, tf.gather(self.movie_titles, position), ""),
            SCORE: tf.where(left, self._score_of(score), score),
        }

    def _scores(self, user_index: tf.Tensor) -> tf.Tensor:
        """Of every movie of the catalogue for each user, `[B, movies]`."""
        vectors = tf.gather(self.user_vectors, user_index)
        return tf.matmul(vectors, self.movie_vectors, transpose_b=True)

    def _seen(self, user_index: tf.Tensor) -> tf.RaggedTensor:
        """What each user rated in training, int32 `[B, (movies)]`."""
        return tf.gather(
            tf.RaggedTensor.from_row_splits(
                self.seen_movie_index.read_value(), self.seen_row_splits.read_value()
            ),
            user_index,
        )


def save(recommender: Recommender, folder: str) -> None:
    """Writes the SavedModel with all signatures."""
    tf.saved_model.save(recommender, folder, signatures=recommender.signatures())
