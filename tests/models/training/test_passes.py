"""Both passes of a training: cold, warm, and after an interruption."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.columns import ColumnStorage
from models.options import ModelOptions, TrainingOptions
from models.rating_statistics import measure
from models.training import warm_start
from models.training.passes import Passes, Trained
from models.training.progress import Progress
from models.training.training_data import TrainingData
from models.training.warm_start import WarmStart
from tests.models.factories import MOVIES, USERS, ratings, trained_like
from tests.models.training.test_warm_start import THEN

OPTIONS = ModelOptions(dimension=3)
TRAINING = TrainingOptions(
    epochs=6, batch_size=8, learning_rate=0.1, patience=6, checkpoint_seconds=0, warm_epochs=0.5
)


class KilledError(Exception):
    """Stands for whatever ends a process."""


def data() -> TrainingData:
    rng = np.random.default_rng(3)
    train, evaluation = ratings(rng, 60), ratings(rng, 20)
    return TrainingData(THEN, train, evaluation, measure(train, USERS, MOVIES))


def earlier(folder: Path) -> WarmStart:
    model = trained_like("biased_mf", np.random.default_rng(4))
    warm_start.write(str(folder), OPTIONS, THEN, {"train": model})
    read = warm_start.read(str(folder))
    assert read is not None
    return WarmStart.of(read, THEN)


def run(start: WarmStart | None, folder: Path | None = None, stop_after: int = 0) -> Trained:
    calls = 0

    def report(_: Progress) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_after:
            raise KilledError

    return Passes(
        model=OPTIONS,
        training=TRAINING,
        data=data(),
        storage=ColumnStorage(1 << 20),
        checkpoints=None if folder is None else str(folder),
        strategy=tf.distribute.get_strategy(),
        warm_start=start,
        report=report,
    ).run()


def weights(trained: Trained) -> list[np.ndarray]:
    return [variable.numpy() for variable in trained.model.trainable_variables]


def test_a_warm_start_trains_for_fewer_epochs_and_keeps_both_passes(tmp_path: Path) -> None:
    cold, warm = run(None), run(earlier(tmp_path))
    assert len(cold.epochs) == 6
    assert len(warm.epochs) == 3
    assert list(warm.models) == ["train", "refit"]
    assert warm.model is warm.models["refit"]
    assert warm.refit
    assert not np.allclose(weights(cold)[0], weights(warm)[0])


# In the first pass, and in the second.
@pytest.mark.parametrize("stop_after", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_an_interrupted_warm_start_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path: Path, stop_after: int
) -> None:
    start = earlier(tmp_path / "earlier")
    undisturbed = run(start)
    with pytest.raises(KilledError):
        run(start, tmp_path / "state", stop_after)
    resumed = run(start, tmp_path / "state")
    for ours, theirs in zip(weights(resumed), weights(undisturbed), strict=True):
        np.testing.assert_array_equal(ours, theirs)
