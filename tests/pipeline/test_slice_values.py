from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.slice_values import age_groups, deciles_of_movies


def test_ages_are_in_the_groups_of_movielens_1m() -> None:
    ages = np.array([1, 17, 18, 24, 25, 34, 35, 44, 45, 49, 50, 55, 56, 120])
    assert age_groups(ages).tolist() == [
        *["under 18"] * 2, *["18-24"] * 2, *["25-34"] * 2, *["35-44"] * 2, *["45-49"] * 2,
        *["50-55"] * 2, *["56+"] * 2,
    ]  # fmt: skip


def test_deciles_are_those_of_the_exported_catalogue(tmp_path: Path) -> None:
    ids = [f"m{place}" for place in range(20)]
    exported = tf.Module()
    exported.movie_ids = tf.Variable(tf.constant(ids))
    exported.movie_popularity = tf.Variable(tf.range(20.0))
    tf.saved_model.save(exported, str(tmp_path))
    wanted = np.array([b"m0", b"m1", b"m2", b"m19", b"unknown"])
    assert deciles_of_movies(str(tmp_path), wanted).tolist() == ["1", "1", "2", "10", "0"]
