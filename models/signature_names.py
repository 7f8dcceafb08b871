"""The names by which an exported model is called, without importing what makes it."""

from typing import Final

SERVING_DEFAULT: Final = "serving_default"
PREDICT: Final = "predict"
RECOMMEND: Final = "recommend"
# For slicing an evaluation by transformed features; not meant for clients.
TRANSFORM_FEATURES: Final = "transform_features"

# Output of `recommend`: stars, not clipped to the range of ratings.
SCORE: Final = "score"
