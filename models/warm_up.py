"""The requests that a model server replays before a version answers others."""

from typing import Final

# Under the SavedModel's folder: a TFRecord of PredictionLogs.
WARM_UP_FILE: Final = "assets.extra/tf_serving_warmup_requests"
# With more, TensorFlow Serving refuses the version.
MAX_WARM_UP_REQUESTS: Final = 1000
