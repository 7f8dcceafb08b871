"""Contenders: training programs that benchmarks time, each as a process on one core.

    python -m benchmarks.contenders.NAME DATA.npz JSON-OF-SETTINGS

Each contender reads `user_index`, `movie_index` and `rating` from an archive, trains, and prints
one line of JSON. An archive may have test ratings, with the prefix `test_`. Then `loop`,
`rating_model`, `surprise_svd` and `cornac_mf` predict them, and `popularity`, `ease`,
`implicit_als` and `retrieval_model` rank the movies that users like in them.

`surprise_svd`, `cornac_mf`, `implicit_als` and `numba_sgd` run in the environment of `make peers`,
which lacks this project's packages. They import only NumPy, their own library and its dependencies,
and modules of this folder that do the same. The other contenders run in the project's environment.
"""

import os

# TensorFlow Recommenders needs Keras 2, which is chosen before TensorFlow is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
