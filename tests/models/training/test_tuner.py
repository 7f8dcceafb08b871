from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import TrainingDivergedError, TrainingStoppedError
from models.factory import build_model
from models.options import ModelOptions, TrainingOptions, TuningOptions, with_values
from models.training import tuner
from models.training.history import EpochResult
from models.training.loop import TrainingLoop
from models.training.metrics import criterion_for
from models.training.progress import Progress, current_report
from models.training.training_data import TrainingData
from tests.models.factories import ratings, statistics

MODEL = ModelOptions(dimension=4, l2_embedding=0.1)
# Ranks what is liked, by NDCG@10, of which more is better.
TWO_TOWER = ModelOptions(name="two_tower", dimension=4, l2_embedding=0.1)
TRAINING = TrainingOptions(epochs=3, batch_size=16, learning_rate=0.5, seed=7)


@pytest.fixture
def data() -> TrainingData:
    rng = np.random.default_rng(11)
    return TrainingData(
        catalogue=None,
        train=ratings(rng, 60),
        evaluation=ratings(rng, 30),
        statistics=statistics(),
    )


def trials(
    data: TrainingData, folder: Path, model: ModelOptions = MODEL, **tuning: Any
) -> tuner.Trials:
    return tuner.Trials(model, TRAINING, TuningOptions(**tuning), data, str(folder / "search"))


def figures(
    data: TrainingData, configured: ModelOptions, values: dict[str, float]
) -> list[float | None]:
    """By epoch, of a training outside the tuner."""
    model_options, training = with_values(configured, TRAINING, values)
    model = build_model(model_options, data.statistics, training.seed)
    criterion = criterion_for(configured, training, data.statistics)
    loop = TrainingLoop(model, training, criterion=criterion)
    return [result.eval_figure for result in loop.train(data.train, data.evaluation)]


@pytest.mark.parametrize(
    ("configured", "best_of"), [(MODEL, min), pytest.param(TWO_TOWER, max, marks=pytest.mark.slow)]
)
def test_the_best_values_are_those_whose_training_had_the_best_figure(
    data: TrainingData, tmp_path: Path, configured: ModelOptions, best_of: Callable[..., Any]
) -> None:
    ranges = {"training.learning_rate": (0.01, 1.0), "model.dimension": (2, 6)}
    search = trials(data, tmp_path, configured, trials=4, ranges=ranges)
    search.search()
    done = list(search.oracle.trials.values())
    assert len(done) == 4
    for trial in done:
        values = trial.hyperparameters.values
        assert trial.score == pytest.approx(best_of(figures(data, configured, values)), rel=1e-5)
        assert 0.01 <= values["training.learning_rate"] <= 1.0
        assert values["model.dimension"] in range(2, 7)
    assert done[0].hyperparameters.values == {
        "training.learning_rate": 0.5,
        "model.dimension": 4,
    }, "the configured values come first"
    (best,) = search.get_best_hyperparameters()
    assert len({trial.score for trial in done}) > 1
    assert best.values == best_of(done, key=lambda trial: trial.score).hyperparameters.values
    assert not (tmp_path / "search").exists()


@pytest.mark.parametrize(("configured", "best"), [(MODEL, "2"), (TWO_TOWER, "1")])
def test_errors_are_to_be_low_and_gains_high(
    data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configured: ModelOptions,
    best: str,
) -> None:
    # Of three trials, by epoch: the third has the lowest figure of all, the second the highest.
    by_trial = iter([[0.2, 0.5], [0.3, 0.9], [0.1, 0.4]])

    def train(*_: object) -> list[EpochResult]:
        return [
            EpochResult(epoch, 0.0, eval_figure, 0.0, 0.0)
            for epoch, eval_figure in enumerate(next(by_trial), start=1)
        ]

    monkeypatch.setattr(TrainingLoop, "train", train)
    search = trials(data, tmp_path, configured, trials=3)
    search.search()
    (found,) = search.get_best_hyperparameters()
    assert found.values == search.oracle.trials[best].hyperparameters.values


@pytest.mark.parametrize(("trial_count", "expected"), [(5, 5), (9, 6)])
def test_no_values_are_tried_twice(
    data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trial_count: int,
    expected: int,
) -> None:
    # Nothing to choose by: the search would come back to where it was.
    monkeypatch.setattr(
        TrainingLoop, "train", lambda loop, *_: [EpochResult(1, 0.0, 0.5, 0.0, 0.0)]
    )
    search = trials(data, tmp_path, trials=trial_count, ranges={"model.dimension": (1, 6)})
    search.search()
    tried = [
        trial.hyperparameters.values["model.dimension"] for trial in search.oracle.trials.values()
    ]
    assert len(tried) == len(set(tried)) == expected


def test_without_ranges_rate_and_l2_are_searched_around_the_configured_ones(
    data: TrainingData, tmp_path: Path
) -> None:
    search = trials(data, tmp_path)
    space = search.oracle.hyperparameters.space
    bounds = {one.name: (one.min_value, one.max_value) for one in space}
    assert bounds == {
        "training.learning_rate": (0.25, 1.0),
        "model.l2_embedding": (0.05, 0.2),
    }


def test_a_model_without_learning_rate_is_searched_by_what_it_has(
    data: TrainingData, tmp_path: Path
) -> None:
    search = trials(data, tmp_path, ModelOptions(name="ials", l2_embedding=0.5))
    (l2,) = search.oracle.hyperparameters.space
    assert (l2.name, l2.min_value, l2.max_value) == ("model.l2_embedding", 0.25, 1.0)
    with pytest.raises(ValueError, match=r"ials has no .* set tuning\.ranges"):
        trials(data, tmp_path / "none", ModelOptions(name="ials", l2_embedding=0))


def test_a_trial_that_diverges_is_not_chosen(data: TrainingData, tmp_path: Path) -> None:
    search = trials(data, tmp_path, trials=3, ranges={"training.learning_rate": (1e7, 1e9)})
    search.search()
    (best,) = search.get_best_hyperparameters()
    assert best.values == {"training.learning_rate": 0.5}


def test_if_every_trial_diverges_the_step_says_so(data: TrainingData, tmp_path: Path) -> None:
    data.train["rating"][:] = np.nan
    search = trials(data, tmp_path, trials=2)
    said = r"all of 2 trials failed .*the loss was nan.*tuning\.ranges"
    with pytest.raises(TrainingDivergedError, match=said):
        search.search()


def test_a_mistake_of_ours_is_no_failed_trial(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(TrainingLoop, "train")
    with pytest.raises(RuntimeError, match="no attribute 'train'"):
        trials(data, tmp_path, trials=2).search()


@pytest.mark.slow
def test_a_search_that_was_stopped_goes_on_after_the_trials_that_ended(
    data: TrainingData, tmp_path: Path
) -> None:
    whole = trials(data, tmp_path / "whole", trials=3)
    whole.search()

    def stop_in_the_second(progress: Progress) -> None:
        if progress.label == "trial 2/3 ":
            os.kill(os.getpid(), signal.SIGTERM)

    token = current_report.set(stop_in_the_second)
    with pytest.raises(TrainingStoppedError, match="trial 2/3; the trials before it are kept"):
        trials(data, tmp_path / "cut", trials=3).search()
    current_report.reset(token)

    shown = []
    token = current_report.set(lambda progress: shown.append(progress.label))
    later = trials(data, tmp_path / "cut", trials=3)
    later.search()
    current_report.reset(token)
    assert set(shown) == {"trial 2/3 ", "trial 3/3 "}
    expected, found = (
        {trial.trial_id: trial.score for trial in one.oracle.trials.values()}
        for one in (whole, later)
    )
    assert found["0"] == expected["0"]
    assert set(found) == set(expected)
