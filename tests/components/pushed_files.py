"""Files of pushed versions, for tests that look at no more of a model."""

from __future__ import annotations

from typing import Final

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

EMPTY_MODEL: Final[bytes] = saved_model_pb2.SavedModel(
    meta_graphs=[meta_graph_pb2.MetaGraphDef()]
).SerializeToString()
"""The smallest `saved_model.pb` that can be read."""
