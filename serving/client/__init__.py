"""A typed client of a model server; it needs gRPC and protobuf, and no TensorFlow."""

from serving.answers import Movie, RatingInterval, Recommendation, VersionStatus
from serving.client.async_client import AsyncRecommenderClient
from serving.client.call_errors import (
    CallError,
    ClientClosedError,
    DeadlineExceededError,
    RequestRefusedError,
    ServerFailedError,
    ServerUnavailableError,
    WrongAnswerError,
)
from serving.client.client import RecommenderClient
from serving.errors import ServingError
from serving.tls import ClientTls

__all__ = [
    "AsyncRecommenderClient",
    "CallError",
    "ClientClosedError",
    "ClientTls",
    "DeadlineExceededError",
    "Movie",
    "RatingInterval",
    "Recommendation",
    "RecommenderClient",
    "RequestRefusedError",
    "ServerFailedError",
    "ServerUnavailableError",
    "ServingError",
    "VersionStatus",
    "WrongAnswerError",
]
