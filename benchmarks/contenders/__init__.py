"""Trainers that are compared, each a process that is timed on one core.

    python -m benchmarks.contenders.NAME DATA.npz JSON-OF-SETTINGS

Each reads `user_index`, `movie_index` and `rating` from an archive, trains, and prints one line of
JSON. All but `tfrs_tutorial` train a factorisation with biases of the same dimension. `loop`,
`tfrecord_loop`, `tfrs_fit` and `tfrs_tutorial` run with this project's packages, the others in the
environment of `make peers`; those import nothing but NumPy and the peer.
"""

import os

# TensorFlow Recommenders needs Keras 2, which is chosen before TensorFlow is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
