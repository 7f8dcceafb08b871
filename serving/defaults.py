"""What clients and servers are unless told otherwise; imports nothing."""

from typing import Final

DEFAULT_TARGET: Final = "127.0.0.1:8500"
DEFAULT_MODEL: Final = "movierec"
# Seconds of a call.
DEFAULT_TIMEOUT: Final = 5.0
# More than gRPC itself allows.
MAX_ATTEMPTS: Final = 5
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
# TensorFlow Serving in a container.
SERVING_IMAGE: Final = "tensorflow/serving:2.21.0"
