"""A typed client of a model server; importing it does not import TensorFlow."""

from serving.client.async_client import AsyncRecommenderClient
from serving.client.client import RecommenderClient

__all__ = ["AsyncRecommenderClient", "RecommenderClient"]
