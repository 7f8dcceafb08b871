"""A model that begins with the rows of an earlier one, matched by raw ids."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.catalogue import Catalogue
from models.contracts import trains_by_gradients
from models.errors import TrainingError
from models.export.saved_model import TRAINING_WEIGHTS_FILE
from models.factory import build_model
from models.options import ModelOptions, TrainingOptions
from models.registry import MODELS
from models.training import warm_start
from models.training.warm_start import WarmStart
from tests.models.factories import MOVIES, USERS, statistics, trained_like

BY_GRADIENTS = [name for name, entry in MODELS.items() if entry.by_gradients]

THEN = Catalogue(
    user_ids=[f"u{row}" for row in range(USERS)],
    user_rating_counts=[1] * USERS,
    movie_ids=[f"m{row}" for row in range(MOVIES)],
    movie_titles=[""] * MOVIES,
    movie_genres=[[]] * MOVIES,
)
# Users and movies have other rows now, some are gone and some new.
NOW = Catalogue(
    user_ids=["u4", "new", "u0", "u1", "newer", "u5"],
    user_rating_counts=[1] * USERS,
    movie_ids=["m3", "m1", "new", "m0", "newer"],
    movie_titles=[""] * MOVIES,
    movie_genres=[[]] * MOVIES,
)


def row_of(ids: list[str], name: str) -> int | None:
    return ids.index(name) if name in ids else None


def expected(
    table: np.ndarray, earlier: np.ndarray, then: list[str], now: list[str], share: float
) -> np.ndarray:
    """The table row by row, as the definition has it."""
    rows = [
        table[row]
        if (known := row_of(then, name)) is None
        else share * earlier[known] + (1 - share) * table[row]
        for row, name in enumerate(now)
    ]
    return np.array([*rows, table[-1]])


@pytest.mark.parametrize("share", [1.0, 0.25])
@pytest.mark.parametrize("name", BY_GRADIENTS)
def test_known_rows_are_the_earlier_models_and_new_ones_cold(
    tmp_path: Path, rng: np.random.Generator, name: str, share: float
) -> None:
    options = ModelOptions(name=name, dimension=3)
    earlier = trained_like(name, rng)
    assert trains_by_gradients(earlier)
    warm_start.write(str(tmp_path), options, THEN, {"train": earlier})
    read = warm_start.read(str(tmp_path))
    assert read is not None
    assert read.options == options
    cold, warm = (build_model(options, statistics(), seed=8) for _ in range(2))
    assert trains_by_gradients(cold)
    assert trains_by_gradients(warm)
    WarmStart.of(read, NOW).apply(warm, "train", share)
    tables = zip(cold.tables(), earlier.tables(), warm.tables(), strict=True)
    for kind, (colds, earliers, warms) in zip(("user", "movie", "shared"), tables, strict=True):
        then, now = (getattr(catalogue, f"{kind}_ids", []) for catalogue in (THEN, NOW))
        for table, old, new in zip(colds, earliers, warms, strict=True):
            if kind == "shared":
                wanted = share * old.numpy() + (1 - share) * table.numpy()
            else:
                wanted = expected(table.numpy(), old.numpy(), then, now, share)
            np.testing.assert_allclose(new.numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("name", BY_GRADIENTS)
def test_the_tables_of_a_model_are_all_its_trainable_weights(name: str) -> None:
    model = build_model(ModelOptions(name=name, dimension=3), statistics(), seed=1)
    assert trains_by_gradients(model)
    tables = model.tables()
    listed = {
        variable.ref()
        for kind in tables
        for table in kind
        for variable in getattr(table, "trainable_variables", [table])
    }
    assert listed == {variable.ref() for variable in model.trainable_variables}
    assert {table.shape[0] for table in tables.user} == {USERS + 1}
    assert {table.shape[0] for table in tables.movie} == {MOVIES + 1}


def test_each_pass_starts_from_the_same_pass_or_the_only_one(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """The first pass must not start from weights that have seen the eval split."""
    options = ModelOptions(dimension=3)
    first, second = (trained_like("biased_mf", rng) for _ in range(2))
    warm_start.write(str(tmp_path / "two"), options, THEN, {"train": first, "refit": second})
    warm_start.write(str(tmp_path / "one"), options, THEN, {"train": first})
    for folder, which, source in (
        ("two", "train", first), ("two", "refit", second), ("one", "refit", first),
    ):  # fmt: skip
        read = warm_start.read(str(tmp_path / folder))
        assert read is not None
        model = build_model(options, statistics(), seed=8)
        WarmStart.of(read, THEN).apply(model, which, 1.0)  # type: ignore[arg-type]
        np.testing.assert_array_equal(model.user_vectors(), source.user_vectors())


def test_a_table_spread_over_replicas_gets_its_rows(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    options = ModelOptions(dimension=3)
    warm_start.write(str(tmp_path), options, THEN, {"train": trained_like("biased_mf", rng)})
    read = warm_start.read(str(tmp_path))
    assert read is not None
    alone = build_model(options, statistics(), seed=8)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        mirrored = build_model(options, statistics(), seed=8)
    for model in (alone, mirrored):
        WarmStart.of(read, NOW).apply(model, "train", 0.7)
    np.testing.assert_array_equal(alone.user_vectors(), mirrored.user_vectors())


def test_an_export_without_weights_starts_nothing(tmp_path: Path) -> None:
    assert warm_start.read(str(tmp_path)) is None


def test_damaged_weights_are_named_with_what_to_do(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    options = ModelOptions(dimension=3)
    warm_start.write(str(tmp_path), options, THEN, {"train": trained_like("biased_mf", rng)})
    file = tmp_path / TRAINING_WEIGHTS_FILE
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for content in (b"", b"no archive", whole[:-100], whole[: len(whole) // 2], bytes(flipped)):
        file.write_bytes(content)
        with pytest.raises(TrainingError, match=r"damaged .*remove this version, or set training"):
            warm_start.read(str(tmp_path))


def test_weights_of_a_release_with_other_options_are_those_of_another_model(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ModelOptions(dimension=3)
    written = options.model_dump_json()
    monkeypatch.setattr(
        ModelOptions, "model_dump_json", lambda _: written.replace("dimension", "rank")
    )
    warm_start.write(str(tmp_path), options, THEN, {"train": trained_like("biased_mf", rng)})
    read = warm_start.read(str(tmp_path))
    assert read is not None
    assert read.options != options


def test_a_warm_start_has_fewer_epochs_and_a_lower_rate() -> None:
    options = TrainingOptions(epochs=5, learning_rate=4, warm_epochs=0.3, warm_rate=0.25)
    assert (options.of_warm_start.epochs, options.of_warm_start.learning_rate) == (2, 1)
