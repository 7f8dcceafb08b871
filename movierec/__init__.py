"""What a person meets: the command line."""

import os

# TensorFlow Recommenders needs Keras 2, and TFX uses `tf.keras` before it imports our models.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
