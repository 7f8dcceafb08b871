"""Plain TensorFlow: features, models, the training loop and the exported signatures.

Everything here can be used in a notebook without an orchestrator.
"""

import os

# TensorFlow Recommenders 0.7.7 is written for Keras 2, which TensorFlow picks only if this is
# set before `tf.keras` is first touched.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
