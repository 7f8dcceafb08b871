"""Trainings of models with updates of their own: progress, history, resumption."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from models.errors import TrainingDivergedError, TrainingStoppedError
from models.factory import build_model
from models.options import ModelOptions, TrainingOptions
from models.rating_statistics import measure
from models.registry import MODELS
from models.side_features import Sides, side_features
from models.training.history import EpochResult, best_epoch
from models.training.loop import TrainingLoop
from models.training.metrics import criterion_for
from models.training.progress import Progress, Report
from tests.models.factories import MOVIES, USERS, ratings

# Of these an epoch is one step; an epoch of a blend has those of its parts.
FITTED = sorted(
    name for name, entry in MODELS.items() if not entry.by_gradients and name != "blend"
)
EPOCHS = 6
SIDES = Sides(
    side_features([["gender=F"] if row % 3 else ["gender=M"] for row in range(USERS)]),
    side_features([[f"genre={row % 2}", "year=1995"] for row in range(MOVIES)]),
)


def train(
    name: str,
    report: Report,
    folder: Path | None = None,
    stars: float | None = None,
    epochs: int = EPOCHS,
    **changes: object,
) -> tuple[list[EpochResult], list[np.ndarray]]:
    """Trains and returns the history and all variables."""
    rng = np.random.default_rng(3)
    columns, evaluation = ratings(rng), ratings(rng, 20)
    if stars is not None:
        columns["rating"][0] = stars
    order = np.argsort(columns["user_index"], kind="stable")
    columns = {key: values[order] for key, values in columns.items()}
    chosen = {"draw_dimension": 2, "burn_in": 2, "gravity": 0.1, "init_stddev": 0.1, **changes}
    model_options = ModelOptions.model_validate({"name": name, "dimension": 3, **chosen})
    options = TrainingOptions(epochs=epochs, patience=EPOCHS, checkpoint_seconds=0)
    statistics = measure(columns, USERS, MOVIES, sides=SIDES)
    model = build_model(model_options, statistics, options.seed)
    loop = TrainingLoop(
        model,
        options,
        None if folder is None else str(folder),
        report,
        criterion=criterion_for(model_options, options, statistics),
    )
    history = loop.train(columns, evaluation)
    return history, [variable.numpy() for variable in model.variables]


class KilledError(Exception):
    """Ends a training without a word, as SIGKILL does: only its checkpoints are left."""


@pytest.mark.parametrize("name", FITTED)
@pytest.mark.parametrize(("number", "after"), [(signal.SIGKILL, 1), (signal.SIGTERM, 4)])
def test_an_interrupted_fit_ends_as_an_undisturbed_one_to_the_bit(
    tmp_path: Path, name: str, number: int, after: int
) -> None:
    history, expected = train(name, lambda _: None)

    def interrupt(progress: Progress) -> None:
        if progress.epoch == after:
            if number == signal.SIGKILL:
                raise KilledError
            os.kill(os.getpid(), number)

    with pytest.raises((KilledError, TrainingStoppedError)):
        train(name, interrupt, tmp_path)
    told: list[int] = []
    resumed, found = train(name, lambda progress: told.append(progress.epoch), tmp_path)
    # Killed, it lost the epoch after the last save.
    first = after if number == signal.SIGKILL else after + 1
    assert told == list(range(first, EPOCHS + 1))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(resumed, history, strict=True):
        assert (one.epoch, one.loss, one.eval_figure, one.scalars) == (
            other.epoch,
            other.loss,
            other.eval_figure,
            other.scalars,
        )


@pytest.mark.parametrize(
    ("parts", "weights", "number", "after"),
    [
        # On the visible ratings, and on all.
        (("ials:graded", "ease:rated"), (), signal.SIGKILL, 3),
        (("ials:graded", "ease:rated"), (), signal.SIGTERM, 4),
        # Inside a part whose optimizer has state.
        pytest.param(("ease", "two_tower"), (1, 2), signal.SIGTERM, 3, marks=pytest.mark.slow),
    ],
)
def test_a_blend_resumes_between_two_epochs_of_a_part(
    tmp_path: Path,
    parts: tuple[str, ...],
    weights: tuple[float, ...],
    number: int,
    after: int,
) -> None:
    blend = {"epochs": 1, "parts": parts, "part_weights": weights, "part_epochs": 3}
    done: list[float] = []
    history, expected = train("blend", lambda one: done.append(one.fraction_of_epoch), **blend)
    steps = len(done)
    assert done == pytest.approx([step / steps for step in range(1, steps + 1)])
    # EASE takes one epoch, the others three.
    assert steps == 4 if weights else 8

    def interrupt(progress: Progress) -> None:
        if progress.fraction_of_epoch == done[after - 1]:
            if number == signal.SIGKILL:
                raise KilledError
            os.kill(os.getpid(), number)

    with pytest.raises((KilledError, TrainingStoppedError)):
        train("blend", interrupt, tmp_path, **blend)
    told: list[float] = []
    resumed, found = train(
        "blend", lambda one: told.append(one.fraction_of_epoch), tmp_path, **blend
    )
    assert told == done[after - (number == signal.SIGKILL) :]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [(one.loss, one.eval_figure) for one in resumed] == [
        (one.loss, one.eval_figure) for one in history
    ]


def test_a_second_epoch_of_a_blend_changes_nothing() -> None:
    blend = {"parts": ("ials:graded", "ease:rated"), "part_epochs": 2}
    history, expected = train("blend", lambda _: None, epochs=1, **blend)
    longer, found = train("blend", lambda _: None, epochs=2, **blend)
    assert [one.loss for one in longer] == [history[0].loss] * 2
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", FITTED)
def test_a_fit_tells_its_progress_and_keeps_the_best_weights(name: str) -> None:
    told: list[Progress] = []
    history, _ = train(name, told.append)
    assert [(one.epoch, one.fraction_of_epoch) for one in told] == [
        (epoch, 1.0) for epoch in range(1, EPOCHS + 1)
    ]
    assert [one.loss for one in told] == [one.loss for one in history]
    assert {one.learning_rate for one in history} == {None}
    assert 1 <= best_epoch(history) <= EPOCHS


@pytest.mark.parametrize("name", ["bayesian_mf"])
def test_a_rating_that_is_no_number_stops_the_fit_in_one_line(name: str) -> None:
    with pytest.raises(TrainingDivergedError, match=r"epoch 1.*: look for ratings") as caught:
        train(name, lambda _: None, stars=np.nan)
    assert "\n" not in str(caught.value)
