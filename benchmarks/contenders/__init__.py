"""Trainers of one biased matrix factorisation, each a process that is timed on one core.

    python -m benchmarks.contenders.NAME DATA.npz JSON-OF-SETTINGS

Each reads `user_index`, `movie_index` and `rating` from an archive, trains, and prints one line of
JSON. `loop`, `tfrecord_loop` and `tfrs_fit` run with this project's packages, the others in the
environment of `make peers`; those import nothing but NumPy and the peer.
"""
