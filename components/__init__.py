"""TFX components for what TFX lacks or does differently: one file each, a folder for large ones."""

import os

# TensorFlow Recommenders needs Keras 2, and TFX touches `tf.keras` before any of our models does.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
