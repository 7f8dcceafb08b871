import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models import loop
from models.errors import TrainingDivergedError
from models.options import TrainingOptions
from tests.models.factories import biased_mf, ratings


def options(**changes: object) -> TrainingOptions:
    values = {"epochs": 4, "batch_size": 16, "learning_rate": 0.5, "patience": 4}
    return TrainingOptions.model_validate({**values, **changes})


def ignore(result: loop.EpochResult) -> None:
    pass


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
    loop.train_for(model, columns, 4, options(), ignore)
    names = ("user_bias", "movie_bias", "user_embedding", "movie_embedding")
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_allclose(getattr(model, name).numpy(), value, atol=1e-5)


def test_the_weights_of_the_best_epoch_are_kept(rng: np.random.Generator) -> None:
    model, columns, evaluation = biased_mf(rng), ratings(rng), ratings(rng)
    history = loop.train(model, columns, evaluation, options(epochs=30, patience=30), ignore)
    best = min(result.eval_rmse for result in history)
    assert best < history[-1].eval_rmse, "the data must overfit, or this shows nothing"
    assert loop.rmse(model, evaluation) == pytest.approx(best, rel=1e-6)
    assert history[loop.best_epoch(history) - 1].eval_rmse == best


def test_it_stops_when_eval_no_longer_improves(rng: np.random.Generator) -> None:
    model, columns, evaluation = biased_mf(rng), ratings(rng), ratings(rng)
    seen: list[int] = []
    history = loop.train(
        model,
        columns,
        evaluation,
        options(epochs=60, patience=3),
        lambda result: seen.append(result.epoch),
    )
    assert len(history) == loop.best_epoch(history) + 3 < 60
    assert seen == [result.epoch for result in history]


def test_the_same_seed_gives_the_same_weights() -> None:
    def trained(seed: int) -> np.ndarray:
        rng = np.random.default_rng(3)
        model, columns = biased_mf(rng), ratings(rng)
        loop.train_for(model, columns, 3, options(seed=seed), ignore)
        return model.user_embedding.numpy()

    np.testing.assert_array_equal(trained(1), trained(1))
    assert np.abs(trained(1) - trained(2)).max() > 0


def test_the_unknown_rows_stay_zero(rng: np.random.Generator) -> None:
    model = biased_mf(rng)
    loop.train_for(model, ratings(rng), 2, options(optimizer="adam"), ignore)
    for variable in model.trainable_variables:
        assert not variable.numpy()[-1].any()


def test_a_diverging_loss_stops_with_where_and_what_to_try(rng: np.random.Generator) -> None:
    with pytest.raises(TrainingDivergedError) as caught:
        loop.train_for(
            biased_mf(rng), ratings(rng), 9, options(epochs=9, learning_rate=1e6), ignore
        )
    message = str(caught.value)
    assert "epoch " in message
    assert "step " in message
    assert "learning rate" in message
    assert "lower training.learning_rate" in message


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
    loop.train_for(model, {"x": x, "rating": 2 * x}, 40, chosen, ignore)
    assert model.w.numpy() == pytest.approx(2, abs=1e-2)


def test_cosine_runs_from_the_learning_rate_to_zero() -> None:
    chosen = options(epochs=5, learning_rate=2.0)
    rates = np.concatenate([loop.learning_rates(chosen, epoch, 10) for epoch in range(1, 6)])
    assert rates[0] == 2.0
    assert rates[25] == pytest.approx(1.0)
    assert 0 < rates[-1] < 0.01
    assert (np.diff(rates) < 0).all()


def test_constant_stays() -> None:
    chosen = options(schedule="constant", learning_rate=0.25)
    assert loop.learning_rates(chosen, 3, 4).tolist() == [0.25] * 4


@pytest.mark.parametrize(("train", "evaluation"), [(0, 5), (5, 0)])
def test_empty_splits_are_refused(rng: np.random.Generator, train: int, evaluation: int) -> None:
    with pytest.raises(ValueError, match=r"has no ratings|no rating to train on"):
        loop.train(biased_mf(rng), ratings(rng, train), ratings(rng, evaluation), options(), ignore)
