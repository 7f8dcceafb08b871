"""Names of the signatures of an exported model, their inputs and outputs."""

from typing import Final

SERVING_DEFAULT: Final = "serving_default"
PREDICT: Final = "predict"
PREDICT_INTERVAL: Final = "predict_interval"
RECOMMEND: Final = "recommend"
RECOMMEND_EXCLUDING: Final = "recommend_excluding"
RECOMMEND_AMONG: Final = "recommend_among"
RECOMMEND_FOR_RATINGS: Final = "recommend_for_ratings"
RECOMMEND_FOR_PROFILE: Final = "recommend_for_profile"
PREDICT_NEW_MOVIE: Final = "predict_new_movie"
SIMILAR: Final = "similar"
MOVIES: Final = "movies"
EXPLAIN: Final = "explain"
EXPLAIN_FOR_RATINGS: Final = "explain_for_ratings"
# For the Evaluator, not for clients: what it needs beside the prediction.
TRANSFORM_FEATURES: Final = "transform_features"

# Inputs that are not features: serialized tf.Examples, the number of movies to return, movies to
# leave out, movies and genres to choose among, the movie to explain, and the year of a new movie.
EXAMPLES: Final = "examples"
K: Final = "k"
EXCLUDE: Final = "exclude"
AMONG_MOVIES: Final = "among_movies"
AMONG_GENRES: Final = "among_genres"
TARGET: Final = "target_movie_id"
MOVIE_YEAR: Final = "movie_year"

# Output of signatures that rank, and of models that predict no ratings: what the list is sorted by.
# That is a rating that is not clipped plus what `ExportOptions.rank_by` adds, what a retrieval
# model ranks by, or a cosine (`similar`).
SCORE: Final = "score"

# Outputs of `transform_features` for retrieval models: a movie's rank, from 1, among all that the
# user did not rate in training, by score and by popularity.
RANK: Final = "rank"
POPULARITY_RANK: Final = "popularity_rank"

# Outputs of signatures that explain: the score without any rating, what each listed rating adds to
# it, and the rest of the score.
BASELINE: Final = "baseline"
CONTRIBUTION: Final = "contribution"
OTHERS: Final = "others"

# Outputs of `predict_interval` beside the rating: the standard deviation of what the user may give,
# in stars, the probability that it is a rating that counts as liked, and the ends of the range that
# ratings are in.
STANDARD_DEVIATION: Final = "standard_deviation"
LIKED_PROBABILITY: Final = "liked_probability"
LOWEST_RATING: Final = "lowest_rating"
HIGHEST_RATING: Final = "highest_rating"
