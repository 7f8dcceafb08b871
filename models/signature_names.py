"""The names by which an exported model is called, without importing what makes it."""

from typing import Final

SERVING_DEFAULT: Final = "serving_default"
PREDICT: Final = "predict"
RECOMMEND: Final = "recommend"
RECOMMEND_EXCLUDING: Final = "recommend_excluding"
RECOMMEND_FOR_RATINGS: Final = "recommend_for_ratings"
SIMILAR: Final = "similar"
# What an evaluation needs of an example beside the prediction; not meant for clients.
TRANSFORM_FEATURES: Final = "transform_features"

# Inputs beside those named as features: serialized tf.Examples, how many movies, and movies not to
# be among them.
EXAMPLES: Final = "examples"
K: Final = "k"
EXCLUDE: Final = "exclude"

# Output of what ranks movies, and of models that predict no rating: stars, not clipped to the range
# of ratings; the log-odds of retrieval models; the cosine of `similar`.
SCORE: Final = "score"

# Outputs of `transform_features` of retrieval models: a movie's place, from 1, among all that the
# user has not rated in training, in the model's order and in that of popularity.
RANK: Final = "rank"
POPULARITY_RANK: Final = "popularity_rank"
