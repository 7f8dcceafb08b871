"""Names of features, splits and vocabularies."""

from __future__ import annotations

from typing import Final

# Raw features, as MovieLensExampleGen writes them.
USER_ID: Final = "user_id"
MOVIE_ID: Final = "movie_id"
RATING: Final = "rating"
TIMESTAMP: Final = "timestamp"
MOVIE_TITLE: Final = "movie_title"
MOVIE_GENRES: Final = "movie_genres"
USER_AGE: Final = "user_age"
USER_GENDER: Final = "user_gender"
USER_OCCUPATION: Final = "user_occupation"

# Transformed features, as `models.preprocessing.preprocessing_fn` writes them.
USER_INDEX: Final = "user_index"
MOVIE_INDEX: Final = "movie_index"
GENRES_MULTI_HOT: Final = "genres_multi_hot"
RATING_MEAN: Final = "rating_mean"
USER_RATING_COUNT: Final = "user_rating_count"
MOVIE_RATING_COUNT: Final = "movie_rating_count"
USER_ACTIVITY: Final = "user_activity"
# In minutes since 1970, which fit into an int32.
RATED_AT: Final = "rated_at"

# Values that slice the evaluation, made from a feature.
USER_AGE_GROUP: Final = "user_age_group"
MOVIE_POPULARITY_DECILE: Final = "movie_popularity_decile"

# Splits.
TRAIN: Final = "train"
EVAL: Final = "eval"
HOLDOUT: Final = "holdout"
SPLITS: Final = (TRAIN, EVAL, HOLDOUT)
# Beside the splits: ratings that only the Gate reads.
GOLDEN: Final = "golden"

# Vocabularies of the Transform step.
USER_VOCABULARY: Final = "user_vocabulary"
MOVIE_VOCABULARY: Final = "movie_vocabulary"
GENRE_VOCABULARY: Final = "genre_vocabulary"
# A line for each movie: its id, its genres and its title, with CATALOGUE_SEPARATOR between them and
# GENRE_SEPARATOR between the genres.
MOVIE_CATALOGUE: Final = "movie_catalogue"
CATALOGUE_SEPARATOR: Final = "\t"
GENRE_SEPARATOR: Final = "|"
# A line for each user in train of whom something is known: the id and the names of the features.
USER_SIDE_FEATURES: Final = "user_side_features"
