"""The recommender pipeline: its configuration, its graph, the local run and its results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

# TensorFlow Recommenders needs Keras 2, and TFX touches `tf.keras` before any of our models does.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

PIPELINE_NAME: Final = "movierec"
"""Name of the pipeline, and of a compiled one unless it is given another."""

SCHEMA_FILE: Final = Path(__file__).with_name("schema.pbtxt")
"""Schema of the raw ratings."""
