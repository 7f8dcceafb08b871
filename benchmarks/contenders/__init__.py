"""Trainers that are compared, each a process that is timed on one core.

    python -m benchmarks.contenders.NAME DATA.npz JSON-OF-SETTINGS

Each reads `user_index`, `movie_index` and `rating` from an archive, trains, and prints one line of
JSON. Where it has `test_…` ratings too, `loop`, `rating_model`, `surprise_svd` and `cornac_mf`
predict them, and `popularity`, `ease`, `implicit_als` and `retrieval_model` rank the movies liked
there.

`surprise_svd`, `cornac_mf`, `implicit_als` and `numba_sgd` run in the environment of `make peers`,
where this project's packages are not: they import NumPy, their peer with what it needs, and of this
folder what does so too. The others run with this project's packages.
"""

import os

# TensorFlow Recommenders needs Keras 2, which is chosen before TensorFlow is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
