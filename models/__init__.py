"""Models in plain TensorFlow: their features, training and export.

Everything here works in a notebook, without an orchestrator.
"""

import os

# TensorFlow Recommenders 0.7.7 needs Keras 2. TensorFlow uses it if this variable is set before
# the first access to `tf.keras`.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
