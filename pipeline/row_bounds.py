"""Bounds of what a row may hold, from the schema: cleaning and validation cannot differ."""

from __future__ import annotations

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.movielens_example_gen.options import RowBounds
from models import features
from pipeline import SCHEMA_FILE


def read() -> RowBounds:
    """Returns the bounds of ratings and timestamps."""
    schema = text_format.Parse(SCHEMA_FILE.read_text(encoding="utf-8"), schema_pb2.Schema())
    by_name = {feature.name: feature for feature in schema.feature}
    rating = by_name[features.RATING].float_domain
    timestamp = by_name[features.TIMESTAMP].int_domain
    return RowBounds(
        rating_min=rating.min,
        rating_max=rating.max,
        timestamp_min=timestamp.min,
        timestamp_max=timestamp.max,
    )
