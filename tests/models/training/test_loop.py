import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models.columns import Columns
from models.contracts import RatingModel
from models.errors import TrainingDivergedError
from models.options import TrainingOptions
from models.training import loop, updates
from models.training.history import best_epoch, best_eval_figure
from models.training.metrics import rmse
from models.training.progress import Progress
from tests.models.factories import biased_mf, ratings


def options(**changes: object) -> TrainingOptions:
    values = {"epochs": 4, "batch_size": 16, "learning_rate": 0.5, "patience": 4}
    return TrainingOptions.model_validate({**values, **changes})


def train_for(model: RatingModel, columns: Columns, chosen: TrainingOptions) -> None:
    loop.TrainingLoop(model, chosen).train_for(columns, chosen.epochs)


def numpy_sgd(weights: list[np.ndarray], columns: dict, chosen: TrainingOptions) -> None:
    """The same training, rating by rating in float64, in place."""
    user_bias, movie_bias, user_vectors, movie_vectors = weights
    rows = len(columns["rating"])
    steps = math.ceil(rows / chosen.batch_size)
    for epoch in range(1, chosen.epochs + 1):
        order = np.random.default_rng([chosen.seed, epoch]).permutation(rows)
        for step in range(steps):
            batch = order[step * chosen.batch_size : (step + 1) * chosen.batch_size]
            gradients = [np.zeros_like(value) for value in weights]
            for row in batch:
                u, i = columns["user_index"][row], columns["movie_index"][row]
                p, q = user_vectors[u].copy(), movie_vectors[i].copy()
                predicted = 3.4 + user_bias[u, 0] + movie_bias[i, 0] + p @ q
                error = predicted - columns["rating"][row]
                gradients[0][u] += 2 * error + 2 * 0.7 * user_bias[u]
                gradients[1][i] += 2 * error + 2 * 0.7 * movie_bias[i]
                gradients[2][u] += 2 * error * q + 2 * 0.3 * p
                gradients[3][i] += 2 * error * p + 2 * 0.3 * q
            done = ((epoch - 1) * steps + step) / (chosen.epochs * steps)
            rate = chosen.learning_rate * (1 + math.cos(math.pi * done)) / 2
            for table, gradient in zip(weights, gradients, strict=True):
                table[:] -= rate * gradient / len(batch)


def test_training_is_the_sgd_of_its_definition(rng: np.random.Generator) -> None:
    """40 ratings in batches of 16: two whole batches and one of 8, four epochs."""
    model, columns = biased_mf(rng), ratings(rng)
    expected = [
        getattr(model, name).numpy().astype(np.float64)
        for name in ("user_bias", "movie_bias", "user_embedding", "movie_embedding")
    ]
    numpy_sgd(expected, columns, options())
    train_for(model, columns, options())
    names = ("user_bias", "movie_bias", "user_embedding", "movie_embedding")
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_allclose(getattr(model, name).numpy(), value, atol=1e-5)


def test_the_weights_of_the_best_epoch_are_kept(rng: np.random.Generator) -> None:
    model, columns, evaluation = biased_mf(rng), ratings(rng), ratings(rng)
    chosen = options(epochs=30, patience=30)
    history = loop.TrainingLoop(model, chosen).train(columns, evaluation)
    best = best_eval_figure(history)
    assert best < history[-1].eval_figure, "the data must overfit, or this shows nothing"
    assert rmse(model, evaluation) == pytest.approx(best, rel=1e-6)
    assert history[best_epoch(history) - 1].eval_figure == best


def test_it_stops_when_eval_no_longer_improves(rng: np.random.Generator) -> None:
    model, columns, evaluation = biased_mf(rng), ratings(rng), ratings(rng)
    history = loop.TrainingLoop(model, options(epochs=60, patience=3)).train(columns, evaluation)
    assert len(history) == best_epoch(history) + 3 < 60
    assert [result.epoch for result in history] == list(range(1, len(history) + 1))


def test_the_same_seed_gives_the_same_weights() -> None:
    def trained(seed: int) -> np.ndarray:
        rng = np.random.default_rng(3)
        model, columns = biased_mf(rng), ratings(rng)
        train_for(model, columns, options(seed=seed))
        return model.user_embedding.numpy()

    one = trained(1)
    np.testing.assert_array_equal(one, trained(1))
    assert np.abs(one - trained(2)).max() > 0


def test_the_unknown_rows_stay_zero(rng: np.random.Generator) -> None:
    model = biased_mf(rng)
    train_for(model, ratings(rng), options(optimizer="adam"))
    for variable in model.trainable_variables:
        assert not variable.numpy()[-1].any()


def test_a_diverging_loss_stops_with_where_and_what_to_try(rng: np.random.Generator) -> None:
    with pytest.raises(TrainingDivergedError) as caught:
        train_for(biased_mf(rng), ratings(rng), options(epochs=9, learning_rate=1e6))
    message = str(caught.value)
    assert "epoch " in message
    assert "step " in message
    assert "learning rate" in message
    assert "lower training.learning_rate" in message


@pytest.mark.parametrize("at_step", [2, 6])
def test_a_gradient_that_is_not_a_number_stops_before_a_weight_is_kept(
    rng: np.random.Generator, at_step: int
) -> None:
    """Six steps an epoch. No loss sees what the gradient of the last one did."""

    @tf.custom_gradient
    def poisoned(loss: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, object]:
        return loss, lambda upstream: (
            tf.where(step == at_step, np.nan, 1.0) * upstream,
            tf.zeros_like(step),
        )

    class Poisoned(tfrs.Model):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(0.5)
            self.step = tf.Variable(0.0, trainable=False)

        def compute_loss(self, inputs: dict, training: bool = False) -> tf.Tensor:
            self.step.assign_add(1.0)
            return poisoned(tf.reduce_mean(tf.square(self.w - inputs["rating"])), self.step)

    with pytest.raises(TrainingDivergedError) as caught:
        train_for(Poisoned(), ratings(rng, 96), options(epochs=1, learning_rate=0.01))
    what = "a weight was not finite" if at_step == 6 else "the loss was nan"
    assert str(caught.value).startswith(f"{what} at epoch 1, step {min(at_step + 1, 6)}, with")


def test_any_tfrs_model_trains_through_compute_loss() -> None:
    class Slope(tfrs.Model):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(0.0)

        def compute_loss(self, inputs: dict, training: bool = False) -> tf.Tensor:
            return tf.reduce_mean(tf.square(self.w * inputs["x"] - inputs["rating"]))

    x = np.linspace(-1, 1, 64).astype(np.float32)
    model = Slope()
    chosen = options(epochs=40, optimizer="adam", learning_rate=0.3)
    train_for(model, {"x": x, "rating": 2 * x}, chosen)
    assert model.w.numpy() == pytest.approx(2, abs=1e-2)


@pytest.mark.parametrize(("train", "evaluation"), [(0, 5), (5, 0)])
def test_empty_splits_are_refused(rng: np.random.Generator, train: int, evaluation: int) -> None:
    with pytest.raises(ValueError, match=r"has no ratings|no rating to train on"):
        loop.TrainingLoop(biased_mf(rng), options()).train(
            ratings(rng, train), ratings(rng, evaluation)
        )


@pytest.mark.parametrize("count", [1, 40])
def test_a_gradient_is_clipped_to_its_global_norm(rng: np.random.Generator, count: int) -> None:
    """One step: the change of the weights is the rate times the clipped norm.

    In a batch of 40 every user and movie comes more than once.
    """
    batch = ratings(rng, count)
    model = biased_mf(rng)
    before = [variable.numpy() for variable in model.trainable_variables]
    chosen = options(
        epochs=1, batch_size=count, schedule="constant", learning_rate=0.1, clip_norm=0.01
    )
    train_for(model, batch, chosen)
    after = [variable.numpy() for variable in model.trainable_variables]
    change = sum(np.sum((a - b) ** 2) for a, b in zip(after, before, strict=True))
    assert np.sqrt(change) == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_a_rating_that_is_not_a_number_stops_the_training(rng: np.random.Generator) -> None:
    columns = ratings(rng)
    columns["rating"][17] = np.nan
    with pytest.raises(TrainingDivergedError, match=r"the loss was nan at epoch 1, step "):
        train_for(biased_mf(rng), columns, options())


def test_how_many_steps_a_call_runs_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> np.ndarray:
        rng = np.random.default_rng(3)
        model, columns = biased_mf(rng), ratings(rng, 75)
        train_for(model, columns, options(epochs=2))
        return model.user_embedding.numpy()

    whole = trained()
    for per_call in (16, 20, 48, 1_000_000):
        monkeypatch.setattr(updates, "RATINGS_PER_CALL", per_call)
        np.testing.assert_allclose(trained(), whole, atol=1e-6, err_msg=str(per_call))


def test_progress_is_told_after_each_call(rng: np.random.Generator) -> None:
    told: list[Progress] = []
    training = loop.TrainingLoop(biased_mf(rng), options(epochs=2), report=told.append)
    training.train(ratings(rng), ratings(rng, 9))
    # 40 ratings: two whole batches of 16 in one call, then the batch of 8.
    assert [(p.epoch, p.fraction_of_epoch) for p in told] == [
        (1, pytest.approx(2 / 3)),
        (1, 1.0),
        (2, pytest.approx(2 / 3)),
        (2, 1.0),
    ]
    assert told[0].eval_figure is None
    assert f"eval RMSE {told[-1].eval_figure:.4f}" in str(told[-1])
