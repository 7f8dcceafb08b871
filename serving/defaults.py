"""Defaults that clients and servers share; importing this module imports nothing."""

from typing import Final

LOOPBACK: Final = "127.0.0.1"
# TensorFlow Serving's own default for gRPC.
DEFAULT_PORT: Final = 8500
DEFAULT_TARGET: Final = f"{LOOPBACK}:{DEFAULT_PORT}"
DEFAULT_MODEL: Final = "movierec"
# Seconds that a call may take.
DEFAULT_TIMEOUT: Final = 5.0
# gRPC allows no more.
MAX_ATTEMPTS: Final = 5
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
# Most requests at once on a model server.
MAX_CONCURRENT_REQUESTS: Final = 128
# Seconds between two looks into the model's folder.
POLL_SECONDS: Final = 1.0
# The container of TensorFlow Serving.
SERVING_IMAGE: Final = "tensorflow/serving:2.21.0"
