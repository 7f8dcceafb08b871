"""The exported model and its signatures: raw ids in, ratings and recommendations out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial, wraps
from itertools import chain
from typing import Any, Final

import numpy as np
import tensorflow as tf

from models import features
from models.activity import activity_slice
from models.catalogue import Catalogue
from models.contracts import Pairs, RankingModel, predicts_ratings
from models.export.allow_list import AllowList, genre_flags
from models.export.explanations import (
    Explanation,
    Ratings,
    RatingTable,
    explain,
    specs_of_explanation,
)
from models.export.feature_vectors import FeatureVectors
from models.export.id_index import IdIndex
from models.export.ragged_tables import from_table, padded_places
from models.export.ranking_offsets import RankingOffsets
from models.export.request_limits import (
    MAX_RATINGS,
    with_equal_rows,
    within_answers,
    within_ratings,
    within_scores,
)
from models.export.top_k import QUERIES_AT_ONCE, Offsets, in_row_parts, top_k
from models.layers.embeddings import rows_to_serve
from models.layers.rating_heads import NormalRating
from models.options import ModelOptions
from models.ranking import dot_products, rank_of, without_seen
from models.seen_movies import SeenMovies
from models.side_features import movie_features, user_features
from models.signature_names import (
    AMONG_GENRES,
    AMONG_MOVIES,
    BASELINE,
    CONTRIBUTION,
    EXAMPLES,
    EXCLUDE,
    EXPLAIN,
    EXPLAIN_FOR_RATINGS,
    HIGHEST_RATING,
    LIKED_PROBABILITY,
    LOWEST_RATING,
    MOVIE_YEAR,
    MOVIES,
    OTHERS,
    POPULARITY_RANK,
    PREDICT,
    PREDICT_INTERVAL,
    PREDICT_NEW_MOVIE,
    RANK,
    RECOMMEND,
    RECOMMEND_AMONG,
    RECOMMEND_EXCLUDING,
    RECOMMEND_FOR_PROFILE,
    RECOMMEND_FOR_RATINGS,
    SCORE,
    SERVING_DEFAULT,
    SIMILAR,
    STANDARD_DEVIATION,
    TARGET,
    TRANSFORM_FEATURES,
)

_STRINGS: Final = tf.TensorSpec([None], tf.string)
_LISTS: Final = tf.TensorSpec([None, None], tf.string)
_STARS: Final = tf.TensorSpec([None, None], tf.float32)
_K: Final = tf.TensorSpec([], tf.int32)
_YEARS: Final = tf.TensorSpec([None], tf.int32)
_ROWS: Final = tf.TensorSpec([None], tf.int64)
_RAGGED: Final = tf.RaggedTensorSpec([None, None], tf.int32)
_RATINGS: Final = Ratings(
    tf.TensorSpec([None, None], tf.int32), _STARS, tf.TensorSpec([None, None], tf.bool)
)
_EXAMPLES: Final = tf.TensorSpec([None], tf.string, name=EXAMPLES)
_INPUTS: Final = {
    SERVING_DEFAULT: (_EXAMPLES,),
    TRANSFORM_FEATURES: (_EXAMPLES,),
    PREDICT: (_STRINGS, _STRINGS),
    PREDICT_INTERVAL: (_STRINGS, _STRINGS),
    RECOMMEND: (_STRINGS, _K),
    RECOMMEND_EXCLUDING: (_STRINGS, _K, _LISTS),
    RECOMMEND_AMONG: (_STRINGS, _K, _LISTS, _LISTS),
    RECOMMEND_FOR_RATINGS: (_LISTS, _STARS, _K),
    RECOMMEND_FOR_PROFILE: (_YEARS, _STRINGS, _STRINGS, _K),
    PREDICT_NEW_MOVIE: (_STRINGS, _LISTS, _YEARS, _STRINGS),
    SIMILAR: (_STRINGS, _K),
    MOVIES: (_STRINGS,),
    EXPLAIN: (_STRINGS, _STRINGS, _K),
    EXPLAIN_FOR_RATINGS: (_LISTS, _STARS, _STRINGS, _K),
}

_RAW_IDS = {
    features.USER_ID: tf.io.FixedLenFeature([], tf.string),
    features.MOVIE_ID: tf.io.FixedLenFeature([], tf.string),
}


class Recommender(tf.Module):
    """A trained model with its catalogue, as one SavedModel that needs no file once it is loaded.

    It holds each vector once, for ratings and rankings alike, and the tables that serving needs.
    It holds nothing else of the trained model. Its signatures depend on whether the model predicts
    ratings, whether it retrieves, and whether it learns from side features that the data have.
    """

    def __init__(
        self,
        model: RankingModel,
        options: ModelOptions,
        rating_range: tuple[float, float],
        catalogue: Catalogue,
        seen: SeenMovies,
        popularity: np.ndarray[Any, np.dtype[np.int64]],
        offsets: RankingOffsets | None = None,
    ) -> None:
        """Builds the tables.

        Args:
            model: Trained model whose tables end with a row for unknown ids.
            options: Options of the model.
            rating_range: Lowest and highest training rating.
            catalogue: Ids, titles, genres, numbers of ratings and side features by the indices of
                the vectors.
            seen: Movies that `recommend` leaves out for each user.
            popularity: Number of training ratings of each movie, int64 `[movies]`.
            offsets: What `recommend` adds to ratings; None ranks by the model's scores alone.
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
        of_movies = list(chain.from_iterable(catalogue.movie_genres))
        genres = sorted(set(of_movies))
        self.genre_index = IdIndex(genres)
        self.genres = tf.Variable(tf.constant(genres, tf.string), trainable=False)
        place = {genre: index for index, genre in enumerate(genres)}
        indices = tf.constant([place[genre] for genre in of_movies], tf.int32)
        self.movie_genre_index = tf.Variable(indices, trainable=False)
        ends = np.cumsum([0, *map(len, catalogue.movie_genres)])
        self.genre_row_splits = tf.Variable(ends, trainable=False)
        directions = self.movie_vectors[: self._movies, : self._dimension]
        norms = np.linalg.norm(directions.numpy(), axis=1)
        # A movie whose vector is zero is similar to none.
        inverse = np.where(norms > 0, 1 / np.where(norms > 0, norms, 1), 0)
        self.movie_inverse_norms = tf.Variable(inverse.astype(np.float32), trainable=False)
        self.movie_popularity = tf.Variable(popularity.astype(np.float32), trainable=False)
        if offsets is not None:
            self.movie_offsets = tf.Variable(offsets.of_movies, trainable=False)
            self.user_factors = tf.Variable(offsets.factors, trainable=False)
        self.seen_movie_index = tf.Variable(seen.movie_index, trainable=False)
        self.seen_row_splits = tf.Variable(seen.row_splits, trainable=False)
        self.seen_ratings = RatingTable(seen)
        self._least_liked = self.seen_ratings.lower_end(options.liked_rating)
        self._most_seen = int(np.diff(seen.row_splits).max())
        if options.uses_side_features:
            users = self.user_vectors.numpy()[:-1], np.array(counts[:-1], np.int64)
            movies = self.movie_vectors.numpy()[:-1], popularity
            if catalogue.sides.users.names:
                self.users_by_features = FeatureVectors(catalogue.sides.users, *users, *movies)
            if catalogue.sides.movies.names:
                self.movies_by_features = FeatureVectors(catalogue.sides.movies, *movies, *users)

    @cached_property
    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The concrete functions to save, by signature name."""
        methods: dict[str, Callable[..., dict[str, tf.Tensor]]] = {
            TRANSFORM_FEATURES: self.transform_examples,
            RECOMMEND: self.recommend,
            RECOMMEND_EXCLUDING: self.recommend_excluding,
            RECOMMEND_AMONG: self.recommend_among,
            RECOMMEND_FOR_RATINGS: self.recommend_for_ratings,
            SIMILAR: self.similar,
            MOVIES: self.movies,
            EXPLAIN: self.explain,
            EXPLAIN_FOR_RATINGS: self.explain_for_ratings,
        }
        if hasattr(self, "rating_head"):
            methods |= {SERVING_DEFAULT: self.rate_examples, PREDICT: self.predict}
            if isinstance(self.rating_head, NormalRating):
                methods[PREDICT_INTERVAL] = self.predict_interval
            if hasattr(self, "movies_by_features"):
                methods[PREDICT_NEW_MOVIE] = self.predict_new_movie
        else:
            methods[SERVING_DEFAULT] = self.score_examples
        if hasattr(self, "users_by_features"):
            methods[RECOMMEND_FOR_PROFILE] = self.recommend_for_profile
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
            Models with `predict_interval` return its `standard_deviation`, float32 `[B]`.
        """
        if self._retrieves:
            examples = within_scores(examples, self._movies)
        ids = tf.io.parse_example(examples, _RAW_IDS)
        users = self.user_index(ids[features.USER_ID])
        counts = rows_to_serve(self.user_rating_counts, users)
        outputs = {features.USER_ACTIVITY: activity_slice(counts)}
        if isinstance(getattr(self, "rating_head", None), NormalRating):
            sure = self.predict_interval(ids[features.USER_ID], ids[features.MOVIE_ID])
            outputs[STANDARD_DEVIATION] = sure[STANDARD_DEVIATION]
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

    def predict_interval(self, user_id: tf.Tensor, movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns ratings and how sure they are, for any user_id and movie_id, string `[B]`.

        What the user may give is normal, with the noise of the user and of the movie and the
        uncertainty of the model. Only models whose rating head knows variances have this signature.

        Returns:
            `rating` float32 `[B]`, as from `predict`; `standard_deviation` float32 `[B]`, in stars;
            `liked_probability` float32 `[B]`, the probability of at least
            `ModelOptions.liked_rating`; `lowest_rating` and `highest_rating` float32 `[B]`, the
            ends of the range of ratings in each row.
        """
        user_id, movie_id = with_equal_rows(features.USER_ID, user_id, features.MOVIE_ID, movie_id)
        pairs = self._pairs(user_id, movie_id)
        head = self.rating_head
        assert isinstance(head, NormalRating)
        mean, deviation = head(pairs), tf.sqrt(head.variance(pairs))
        # Φ(x) = erfc(−x / √2) / 2
        below = (self._least_liked - mean) / (np.sqrt(2) * deviation)
        return {
            features.RATING: tf.clip_by_value(mean, *self._rating_range),
            STANDARD_DEVIATION: deviation,
            LIKED_PROBABILITY: tf.math.erfc(below) / 2,
            **{
                name: tf.fill(tf.shape(mean), tf.constant(end, mean.dtype))
                for name, end in zip(
                    (LOWEST_RATING, HIGHEST_RATING), self._rating_range, strict=True
                )
            },
        }

    def recommend(self, user_id: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the k best movies for each user, best first, without those rated in training.

        B · k is limited to `MAX_ANSWERS`, and B times the catalogue's size to `MAX_SCORES` unless B
        is at most `QUERIES_AT_ONCE`. The other signatures that rank have the same limits.

        Args:
            user_id: string `[B]`; an unknown user's ratings are the mean and the movies' biases.
            k: int32 scalar, limited to the catalogue's size.

        Returns:
            `movie_id`, `movie_title` string and `score` float32, each `[B, k]`. The score is the
            predicted rating before it is clipped to the range of ratings plus the movie's offset,
            or what a retrieval model ranks by. Models that predict ratings and do not retrieve
            also return `rating` float32 `[B, k]`, as from `predict`. If a user has fewer than k
            movies left, the rest of the row has empty strings, and −inf for numbers.
        """
        user_id, k = within_answers(user_id, k, self._movies)
        user_index = self.user_index(user_id)
        return self._recommended(user_index, self._seen(user_index), k)

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
        more = from_table(tf.cast(self.movie_index(exclude), tf.int32))
        excluded = tf.concat([self._seen(user_index), more], axis=1)
        return self._recommended(user_index, excluded, k)

    def recommend_among(
        self, user_id: tf.Tensor, k: tf.Tensor, among_movies: tf.Tensor, among_genres: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns the k best movies for each user among those of an allow-list.

        A movie is allowed if the user's row of `among_movies` names it, or if their row of
        `among_genres` names one of its genres. A row that names nothing allows nothing.

        Args:
            user_id: string `[B]`.
            k: int32 scalar.
            among_movies: Ids of allowed movies, string `[B, M]`; unknown ids, such as the empty
                string, have no effect.
            among_genres: Allowed genres as the data spells them, string `[B, G]`; unknown ones,
                such as the empty string, have no effect.

        Returns:
            See `recommend`; the movies rated in training are left out here too.
        """
        user_id, k = within_answers(user_id, k, self._movies)
        user_id, among_movies = with_equal_rows(
            features.USER_ID, user_id, AMONG_MOVIES, among_movies
        )
        user_id, among_genres = with_equal_rows(
            features.USER_ID, user_id, AMONG_GENRES, among_genres
        )
        user_index = self.user_index(user_id)
        allow_list = AllowList(
            tf.cast(self.movie_index(among_movies), tf.int32),
            genre_flags(tf.cast(self.genre_index(among_genres), tf.int32), self.genres.shape[0]),
            self._genres_of_movies(),
        )
        vectors = rows_to_serve(self.user_vectors, user_index)
        return self._recommended_from(user_index, self._seen(user_index), k, vectors, allow_list)

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
        excluded = from_table(movie_index)
        return self._recommended(self._nobody(movie_id), excluded, k, vectors)

    def recommend_for_profile(
        self, user_age: tf.Tensor, user_gender: tf.Tensor, user_occupation: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns the k best movies for new users of whom only a profile is known.

        Only models that learn from side features have this signature, of data that have some of
        users. What is unknown counts as the mean of the known users.

        Args:
            user_age: Ages in years, int32 `[B]`; unknown if 0 or less.
            user_gender: Genders as the data spells them, string `[B]`; unknown if the data has no
                such one, as for the empty string.
            user_occupation: Occupations, string `[B]`, likewise.
            k: int32 scalar.

        Returns:
            See `recommend`; no movie is left out.
        """
        user_age, k = within_answers(user_age, k, self._movies)
        user_age, user_gender = with_equal_rows(
            features.USER_AGE, user_age, features.USER_GENDER, user_gender
        )
        user_age, user_occupation = with_equal_rows(
            features.USER_AGE, user_age, features.USER_OCCUPATION, user_occupation
        )
        vectors = self.users_by_features(user_features(user_age, user_gender, user_occupation))
        nothing = from_table(tf.zeros([tf.size(user_age), 0], tf.int32))
        return self._recommended(self._nobody(user_age), nothing, k, vectors)

    def predict_new_movie(
        self,
        user_id: tf.Tensor,
        movie_genres: tf.Tensor,
        movie_year: tf.Tensor,
        movie_title: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Returns ratings of movies that nobody has rated.

        Only models that learn from side features have this signature, of data that have some of
        movies. What is unknown counts as the mean of the known movies.

        Args:
            user_id: string `[B]`; an unknown user is rated for as in `predict`.
            movie_genres: Genres as the data spells them, string `[B, G]`; unknown ones, such as the
                empty string, have no effect.
            movie_year: Years, int32 `[B]`; 0 or less takes the year from the title.
            movie_title: Titles, string `[B]`, of which only a year in parentheses counts, as in
                `Heat (1995)`.

        Returns:
            `rating` float32 `[B]`, within the range of ratings.
        """
        user_id, movie_genres = with_equal_rows(
            features.USER_ID, user_id, features.MOVIE_GENRES, movie_genres
        )
        user_id, movie_year = with_equal_rows(features.USER_ID, user_id, MOVIE_YEAR, movie_year)
        user_id, movie_title = with_equal_rows(
            features.USER_ID, user_id, features.MOVIE_TITLE, movie_title
        )
        users = self.user_index(user_id)

        def of_rows(rows: slice) -> list[tf.Tensor]:
            named = movie_features(movie_genres[rows], movie_year[rows], movie_title[rows])
            movies = self.movies_by_features(named)
            unknown = tf.fill(tf.shape(users[rows]), tf.constant(self._movies, tf.int64))
            vectors = rows_to_serve(self.user_vectors, users[rows])
            return [self.rating_head(Pairs(users[rows], unknown, vectors, movies))]

        spec = [tf.TensorSpec([None], tf.float32)]
        (rating,) = in_row_parts(of_rows, tf.size(users), QUERIES_AT_ONCE, spec)
        return {features.RATING: tf.clip_by_value(rating, *self._rating_range)}

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
        outputs, _ = self._ranked(
            tf.pad(directions, [[0, 0], [0, biases]]),
            from_table(own[:, tf.newaxis]),
            k,
            lambda dot: tf.where(known[:, tf.newaxis], dot, -np.inf),
            self.movie_inverse_norms,
        )
        return outputs

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

    def explain(
        self, user_id: tf.Tensor, movie_id: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns which ratings of the training raise a movie most for a known user.

        The contributions are those of the fold-in from the ratings that the model holds of the
        user, at most `ExportOptions.max_seen_per_user`. Where the vector of training differs from
        that of the fold-in, the difference is among the others.

        Args:
            user_id: string `[B]`; an unknown user has no ratings.
            movie_id: Movies to explain, string `[B]`.
            k: Number of ratings to list, int32 scalar, limited to the catalogue's size.

        Returns:
            `movie_id`, `movie_title` string, `rating` and `contribution` float32, each `[B, k]`:
            the user's ratings by what they add to the score, the largest first, with empty
            strings and zeros after the last. `score`, `baseline` and `others`, float32 `[B]`: the
            score of `recommend` is the baseline, of a user without ratings, plus the listed
            contributions plus the others. What `recommend` adds to the rating is in the baseline.
            An unknown movie has no ratings and score −inf.
        """
        user_id, k = within_answers(user_id, k, self._movies)
        user_id, movie_id = with_equal_rows(features.USER_ID, user_id, features.MOVIE_ID, movie_id)
        users = self.user_index(user_id)
        target = tf.cast(self.movie_index(movie_id), tf.int32)

        def of_rows(rows: slice) -> Explanation:
            found = self._explanation(self._ratings_of(users[rows]), target[rows], k)
            user_vectors = rows_to_serve(self.user_vectors, users[rows])
            dots = user_vectors * rows_to_serve(self.movie_vectors, target[rows])
            return found.of_score(self._score_of(tf.reduce_sum(dots, axis=1)))

        at_once = MAX_RATINGS // min(max(1, self._most_seen), MAX_RATINGS)
        parts = in_row_parts(of_rows, tf.size(users), at_once, specs_of_explanation())
        return self._explained(users, target, Explanation(*parts))

    def explain_for_ratings(
        self, movie_id: tf.Tensor, rating: tf.Tensor, target_movie_id: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns which of a new user's ratings raise a movie most.

        Args:
            movie_id: Movies that each user rated, string `[B, N]`, as in `recommend_for_ratings`.
            rating: Their ratings, float32 `[B, N]`.
            target_movie_id: Movies to explain, string `[B]`.
            k: Number of ratings to list, int32 scalar, limited to the catalogue's size.

        Returns:
            See `explain`; the score is that of `recommend_for_ratings`.
        """
        movie_id, k = within_answers(movie_id, k, self._movies)
        movie_id, rating = with_equal_rows(features.MOVIE_ID, movie_id, features.RATING, rating)
        movie_id, target_movie_id = with_equal_rows(
            features.MOVIE_ID, movie_id, TARGET, target_movie_id
        )
        rating = tf.clip_by_value(within_ratings(movie_id, rating), *self._rating_range)
        index = tf.cast(self.movie_index(movie_id), tf.int32)
        target = tf.cast(self.movie_index(target_movie_id), tf.int32)

        def of_rows(rows: slice) -> Explanation:
            known = index[rows] < self._movies
            ratings = Ratings(index[rows], rating[rows], known)
            return self._explanation(ratings, target[rows], k)

        at_once = MAX_RATINGS // tf.clip_by_value(tf.shape(movie_id)[1], 1, MAX_RATINGS)
        parts = in_row_parts(of_rows, tf.shape(movie_id)[0], at_once, specs_of_explanation())
        return self._explained(self._nobody(movie_id), target, Explanation(*parts))

    @cached_property
    def _explanation(self) -> Callable[..., Explanation]:
        """`_explanation_of`, traced once for both signatures that explain."""
        return _shared(self._explanation_of, (_RATINGS, tf.TensorSpec([None], tf.int32), _K))

    def _explanation_of(self, ratings: Ratings, target: tf.Tensor, k: tf.Tensor) -> Explanation:
        """Returns why movies have the scores that follow from ratings.

        Args:
            ratings: Ratings of the users.
            target: Movies to explain, int32 `[B]`.
            k: Number of ratings to list.
        """
        contributions = self._fold_in.contributions(
            rows_to_serve(self.movie_vectors, ratings.movie_index),
            ratings.rating,
            ratings.known,
            rows_to_serve(self.movie_vectors, target),
        )
        return explain(contributions, ratings, self._score_of, k)

    def _explained(
        self, users: tf.Tensor, target: tf.Tensor, found: Explanation
    ) -> dict[str, tf.Tensor]:
        """Returns the outputs of the signatures that explain.

        Args:
            users: Rows of the users, int `[B]`.
            target: Movies that are explained, int32 `[B]`.
            found: Why they have their ratings or scores.
        """
        known = target < self._movies
        offsets = self._offsets_for(users)
        added = 0.0 if offsets is None else offsets.of_pairs(tf.where(known, target, 0))
        listed = (found.movie_index >= 0) & known[:, tf.newaxis]
        position = tf.where(listed, found.movie_index, 0)
        return {
            features.MOVIE_ID: tf.where(listed, rows_to_serve(self.movie_ids, position), ""),
            features.MOVIE_TITLE: tf.where(listed, rows_to_serve(self.movie_titles, position), ""),
            features.RATING: tf.where(listed, found.rating, 0),
            CONTRIBUTION: tf.where(listed, found.contribution, 0),
            SCORE: tf.where(known, found.score + added, -np.inf),
            BASELINE: tf.where(known, found.baseline + added, -np.inf),
            OTHERS: tf.where(known, found.others, 0),
        }

    def _ratings_of(self, users: tf.Tensor) -> Ratings:
        """Returns the ratings of training of some users, `[B, N]` with the N of the most active."""
        place, known = padded_places(self.seen_row_splits.read_value(), users)
        movies, levels = (
            tf.where(known, rows_to_serve(table, place), 0)
            for table in (self.seen_movie_index, self.seen_ratings.level)
        )
        return Ratings(movies, self.seen_ratings.stars(levels), known)

    def _recommended(
        self,
        users: tf.Tensor,
        excluded: tf.RaggedTensor,
        k: tf.Tensor,
        vectors: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Returns the outputs of the signatures that recommend from the whole catalogue.

        Args:
            users: Rows of the users, int64 `[B]`.
            excluded: Movies to leave out, int32 `[B, (excluded)]`.
            k: Number of movies, from `within_answers`.
            vectors: Vectors of the users, float32 `[B, d]`; None takes those of their rows.
        """
        if vectors is None:
            vectors = rows_to_serve(self.user_vectors, users)
        return self._recommending(users, excluded, k, vectors)

    @cached_property
    def _recommending(self) -> Callable[..., dict[str, tf.Tensor]]:
        """`_recommended_from`, traced once for all signatures that recommend."""
        vectors = tf.TensorSpec([None, self.user_vectors.shape[1]], tf.float32)
        return _shared(self._recommended_from, (_ROWS, _RAGGED, _K, vectors))

    def _recommended_from(
        self,
        users: tf.Tensor,
        excluded: tf.RaggedTensor,
        k: tf.Tensor,
        vectors: tf.Tensor,
        allow_list: AllowList | None = None,
    ) -> dict[str, tf.Tensor]:
        """Returns what `_recommended` does from the movies of an allow-list, or from all."""
        offsets = self._offsets_for(users)
        score_of = self._score_of if offsets is None else tf.identity
        outputs, position = self._ranked(
            vectors, excluded, k, score_of, allow_list=allow_list, offsets=offsets
        )
        if hasattr(self, "rating_head") and not self._retrieves:
            rating = score = outputs[SCORE]
            if offsets is not None:
                rating = score - offsets.of_pairs(position)
            clipped = tf.clip_by_value(rating, *self._rating_range)
            outputs[features.RATING] = tf.where(tf.math.is_finite(score), clipped, -np.inf)
        return outputs

    def _ranked(
        self,
        queries: tf.Tensor,
        excluded: tf.RaggedTensor,
        k: tf.Tensor,
        score_of: Callable[[tf.Tensor], tf.Tensor],
        scale: tf.Tensor | None = None,
        allow_list: AllowList | None = None,
        offsets: Offsets | None = None,
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Returns the outputs of the signatures that rank, and the movies' indices `[B, k]`.

        Args:
            queries: Query vectors, float32 `[B, d]`.
            excluded: Movies to leave out, int32 `[B, (excluded)]`.
            k: Number of movies, from `within_answers`.
            score_of: Function of what `top_k` returns to scores, `[B, k]`; −inf marks no answer.
            scale: Factor of each movie's dot products, float32 `[movies]`, or None.
            allow_list: Movies to choose among for each query; all if None.
            offsets: What to add to the scores before they are ranked, or None.
        """
        best, position = top_k(
            queries, self.movie_vectors, self._movies, excluded, k, scale, allow_list, offsets
        )
        score = tf.where(tf.math.is_finite(best), score_of(best), -np.inf)
        found = tf.math.is_finite(score)
        outputs = {
            features.MOVIE_ID: tf.where(found, rows_to_serve(self.movie_ids, position), ""),
            features.MOVIE_TITLE: tf.where(found, rows_to_serve(self.movie_titles, position), ""),
            SCORE: score,
        }
        return outputs, position

    def _offsets_for(self, users: tf.Tensor) -> Offsets | None:
        """Returns what is added to the ratings of users, given by their rows, int `[B]`."""
        if not hasattr(self, "movie_offsets"):
            return None
        factors = rows_to_serve(self.user_factors, users)
        return Offsets(self._score_of, self.movie_offsets.read_value(), factors)

    def _nobody(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the row of the unknown user, int64 `[B]`, for each row of a tensor."""
        return tf.fill(tf.shape(rows)[:1], tf.constant(self.user_ids.shape[0], tf.int64))

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

    def _genres_of_movies(self) -> tf.RaggedTensor:
        """Returns the genres of each movie, int32 `[movies, (genres)]`."""
        return tf.RaggedTensor.from_row_splits(
            self.movie_genre_index.read_value(),
            self.genre_row_splits.read_value(),
            validate=False,
        )

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


def _shared(method: Callable[..., Any], inputs: tuple[Any, ...]) -> Callable[..., Any]:
    """Returns a method that is traced once for all signatures that call it.

    Args:
        method: Method that computes something for several signatures.
        inputs: Types of the method's arguments.
    """
    # Found as an attribute of the model, a `tf.function` would be exported beside the signatures.
    return partial(tf.function(method, input_signature=inputs, autograph=False))


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
