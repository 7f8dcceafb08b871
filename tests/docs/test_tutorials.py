"""Every tutorial runs, and every line it prints is what NumPy computes in float64.

What can be trained again is; otherwise the figures are computed from the weights that the tutorial
trained, by their definitions and not by the functions that the tutorial calls.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from docs.tutorials import movielens
from models.columns import Columns
from models.options import TrainingOptions
from models.training.loop import TrainingLoop
from models.training.progress import Progress, Report
from tests.docs.printed import Line, assert_printed, line

Namespace = dict[str, Any]
Tables = dict[str, np.ndarray]


def run(name: str) -> Namespace:
    return runpy.run_module(f"docs.tutorials.{name}")


def test_every_tutorial_has_a_test() -> None:
    # `movielens` is what they share.
    files = {path.stem for path in Path(movielens.__file__).parent.glob("*.py")}
    scripts = files - {"__init__", "movielens"}
    assert scripts
    assert {f"test_{script}" for script in scripts} <= globals().keys()


@pytest.fixture(autouse=True)
def without_matplotlib(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides matplotlib, which `make run` does not install, from all tests but one."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is None or not callspec.params.get("draws"):
        monkeypatch.setitem(sys.modules, "matplotlib", None)


def tables_of(model: tf.Module) -> Tables:
    """Each table without its row for the unknown."""
    return {
        name: value.numpy()[:-1].astype(np.float64)
        for name, value in vars(model).items()
        if isinstance(value, tf.Variable) and value.shape.rank == 2
    }


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[list[Tables]]:
    """The weights after each epoch of each training, recorded while a tutorial runs."""
    trainings: list[list[Tables]] = []

    class Recorded(TrainingLoop):
        def __init__(
            self, model: tf.Module, options: TrainingOptions, *, report: Report, **arguments: Any
        ) -> None:
            epochs: list[Tables] = []
            trainings.append(epochs)

            def record(progress: Progress) -> None:
                report(progress)
                if progress.fraction_of_epoch == 1:
                    epochs.append(tables_of(model))

            super().__init__(model, options, report=record, **arguments)

    monkeypatch.setattr("models.training.loop.TrainingLoop", Recorded)
    return trainings


def best_first(score: np.ndarray, among: Iterable[int]) -> list[int]:
    """The highest score first; the lower index first of equals."""
    return sorted((int(movie) for movie in among), key=lambda movie: (-score[movie], movie))


def adam(
    weights: list[np.ndarray],
    gradients_of: Callable[[list[np.ndarray]], list[np.ndarray]],
    rate: float,
    steps: int,
) -> None:
    """Kingma & Ba (2015), algorithm 1, with ε = 1e-7, in place."""
    first = [np.zeros_like(w) for w in weights]
    second = [np.zeros_like(w) for w in weights]
    for step in range(1, steps + 1):
        for w, g, m, v in zip(weights, gradients_of(weights), first, second, strict=True):
            m[:] = 0.9 * m + 0.1 * g
            v[:] = 0.999 * v + 0.001 * g**2
            w[:] -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7)


def test_a_movie_is_found_by_a_title_that_is_its_own() -> None:
    data = movielens.load()
    assert (data.users, len(data.titles), len(set(data.titles))) == (943, 1682, 1664)
    star_wars = data.movie("Star Wars (1977)")
    # As counted in the original file.
    assert np.sum(data.ratings["movie_index"] == star_wars) == 583
    with pytest.raises(ValueError, match=r"2 movies are called 'Chasing Amy \(1997\)'"):
        data.movie("Chasing Amy (1997)")
    with pytest.raises(ValueError, match="0 movies are called 'Star Wars'"):
        data.movie("Star Wars")


# The step of float32 between 2 and 4, by which a step of a descent from 3 may at most be wrong.
SPACING = 2.0**-22


def gradient_descent(rate: float) -> float:
    w = 3.0
    for _ in range(30):
        w -= rate * 2 * (w - 1)
    return w


def gradient_descent_in_float32(rate: float) -> float:
    w, one, two = np.float32(3), np.float32(1), np.float32(2)
    for _ in range(30):
        w -= np.float32(rate) * (two * (w - one))
    return float(w)


def gradient_descent_rounded_once(rate: float) -> float:
    """w ← (1 − 2α) w + 2α in float32, each step rounded once: float64 holds the product exactly."""
    keep, add = np.float32(1 - 2 * rate), np.float32(2 * rate)
    w = np.float32(3)
    for _ in range(30):
        w = np.float32(np.float64(keep) * np.float64(w) + np.float64(add))
    return float(w)


def taped_by_xla(cost: Callable[[tf.Tensor], tf.Tensor], rate: float) -> float:
    @tf.function(jit_compile=True)
    def step(w: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(w)
            loss = cost(w)
        return w - rate * tape.gradient(loss, w)

    w = tf.constant(3.0)
    for _ in range(30):
        w = step(w)
    return float(w)


def test_gradient_descent(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("gradient_descent")
    printed = capsys.readouterr().out
    taped = {rate: gradient_descent_in_float32(rate) for rate in (0.1, 0.01)}
    fused = {rate: gradient_descent_rounded_once(rate) for rate in taped}
    for rate, path in found["paths"].items():
        exact = [1 + 2 * (1 - 2 * rate) ** step for step in range(31)]
        np.testing.assert_allclose(path, exact, rtol=0, atol=30 * SPACING)
        assert abs(fused[rate] - gradient_descent(rate)) <= 30 * SPACING
        assert taped_by_xla(found["cost"], rate) == taped[rate]
    w = [np.array([3.0])]
    adam(w, lambda weights: [2 * (weights[0] - 1)], 0.1, 30)
    descent = "gradient descent, α = {}: w = {:.6f} after 30 steps"
    assert_printed(
        printed,
        [
            # The same operations in the same order round to the same bits.
            *(line(descent, rate, w, slack=0) for rate, w in taped.items()),
            line("   α      tape     fused   formula"),
            *(
                line(
                    "{:4.2f}  {:.6f}  {:.6f}  {:.6f}",
                    *(rate, taped[rate], fused[rate], gradient_descent(rate)),
                    slack=1e-12,
                )
                for rate in taped
            ),
            line("Adam, α = {}: w = {:.4f} after 30 steps", 0.1, float(w[0][0])),
        ],
    )
    # The figures of the courses.
    assert "α = 0.1: w = 1.002476" in printed
    assert "0.01  2.090968  2.090970  2.090969" in printed


def collaborative_filtering(
    ratings: Columns, start: list[np.ndarray], l2: float, steps: int
) -> tuple[list[np.ndarray], list[float]]:
    """X, W and b after training by Adam, and the cost before each step and after the last."""
    users, movies = ratings["user_index"], ratings["movie_index"]
    y = ratings["rating"] - movie_means(ratings)[movies]
    weights = [table.copy() for table in start]
    costs: list[float] = []

    def gradients(tables: list[np.ndarray]) -> list[np.ndarray]:
        x, w, b = tables
        error = np.sum(x[movies] * w[users], axis=1) + b[users, 0] - y
        costs.append(0.5 * np.sum(error**2) + 0.5 * l2 * (np.sum(x**2) + np.sum(w**2)))
        gradient_x, gradient_w = l2 * x, l2 * w
        np.add.at(gradient_x, movies, error[:, np.newaxis] * w[users])
        np.add.at(gradient_w, users, error[:, np.newaxis] * x[movies])
        gradient_b = np.bincount(users, error, minlength=len(b))[:, np.newaxis]
        return [gradient / len(y) for gradient in (gradient_x, gradient_w, gradient_b)]

    adam(weights, gradients, 0.1, steps)
    gradients(weights)
    return weights, costs


def movie_means(ratings: Columns) -> np.ndarray:
    movies = ratings["movie_index"]
    return np.bincount(movies, ratings["rating"].astype(np.float64)) / np.bincount(movies)


@pytest.mark.slow
def test_collaborative_filtering(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("collaborative_filtering")
    data, given = found["data"], found["MINE"]
    me = data.users
    mine = [data.titles.index(title) for title in given]
    ratings = {
        "user_index": np.append(data.ratings["user_index"], [me] * len(mine)),
        "movie_index": np.append(data.ratings["movie_index"], mine),
        "rating": np.append(data.ratings["rating"], list(given.values())),
    }
    model = found["model"]
    untrained = tables_of(type(model)(found["statistics"], found["config"].model, seed=1))
    start = [untrained[name] for name in ("x", "w", "b")]
    (x, w, b), costs = collaborative_filtering(ratings, start, l2=10.0, steps=200)

    predicted = np.clip(x @ w[me] + b[me, 0] + movie_means(ratings), 1, 5)
    assert len(predicted) == 1682
    np.testing.assert_allclose(found["predicted"], predicted, rtol=0, atol=1e-4)
    often_rated = np.flatnonzero(np.bincount(ratings["movie_index"]) >= 100)
    best = best_first(predicted, set(often_rated) - set(mine))[:10]
    steps = (1, 20, 100, 200)
    assert_printed(
        capsys.readouterr().out,
        [
            *(line("step {:3}: J = {:6}", step, round(costs[step - 1])) for step in steps),
            line("J over the matrices after training = {}", round(costs[-1])),
            *(line("{:.2f}  {}", float(predicted[movie]), data.titles[movie]) for movie in best),
            *(
                line(
                    "given {:.0f}, predicted {:.2f}  {}", int(stars), float(predicted[movie]), title
                )
                for (title, stars), movie in zip(given.items(), mine, strict=True)
            ),
        ],
    )


def mean_squared_error(tables: Tables, ratings: Columns) -> float:
    p, q = tables["user_embedding"], tables["movie_embedding"]
    scores = np.sum(p[ratings["user_index"]] * q[ratings["movie_index"]], axis=1)
    return float(np.mean((np.clip(scores, 1, 5) - ratings["rating"]) ** 2))


def nearest_lines(
    name: str, gravity: float, vectors: np.ndarray, data: movielens.MovieLens, counts: np.ndarray
) -> list[Line]:
    aladdin = data.titles.index("Aladdin (1992)")
    scores = vectors @ vectors[aladdin]
    if name == "cosine":
        squares = np.sum(vectors**2, axis=1)
        scores /= np.sqrt(squares * squares[aladdin])
    order = [movie for movie in best_first(scores, range(len(vectors))) if movie != aladdin]
    header = "nearest to Aladdin (1992) by {}, gravity {}, with the times rated:"
    return [
        line(header, name, gravity),
        *(
            line("  {:6.3f} {:5}  {}", float(scores[movie]), counts[movie], data.titles[movie])
            for movie in order[:6]
        ),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("draws", [True, False], ids=["matplotlib", "without_matplotlib"])
def test_sparse_factorisation(
    draws: bool,
    capsys: pytest.CaptureFixture[str],
    trainings: list[list[Tables]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = run("sparse_factorisation")
    data, train, test = found["data"], found["train"], found["test"]
    counts = np.bincount(train["movie_index"], minlength=1682)
    figures: dict[str, list[float]] = {}
    expected, neighbours, mean_squares, rarest = [], [], [], []
    for gravity, epochs in zip((0.0, 0.5), trainings, strict=True):
        assert len(epochs) == 20
        on_train, on_test = (
            [mean_squared_error(tables, part) for tables in epochs] for part in (train, test)
        )
        # Training goes on to lower its own error where the test error has turned.
        best = int(np.argmin(on_test))
        assert on_train[-1] < on_train[best]
        assert on_test[-1] > on_test[best] + 0.01
        figures[f"train, gravity {gravity}"] = on_train
        figures[f"test, gravity {gravity}"] = on_test

        tables = tables_of(found["fits"][gravity][0])
        for name, table in tables.items():
            np.testing.assert_array_equal(table, epochs[best][name])
        p, q = tables["user_embedding"], tables["movie_embedding"]
        mean_squares.append(float(np.mean((p @ q.T) ** 2)))
        expected += [
            line("gravity {}", gravity),
            line("epoch  train MSE  test MSE"),
            *(
                line("{:5} {:10.4f} {:9.4f}", epoch, on_train[epoch - 1], on_test[epoch - 1])
                for epoch in (1, 2, 4, 6, 8, 10, 15, 20)
            ),
            line("lowest test MSE {:.4f} in epoch {}", on_test[best], best + 1),
            line("mean squared score over all pairs {:.3f}", mean_squares[-1]),
        ]
        for name in ("dot product", "cosine"):
            nearest = nearest_lines(name, gravity, q, data, counts)
            neighbours += nearest
            rarest.append(min(entry.values[1] for entry in nearest[1:]))
    # By either measure the nearest were rated more often with gravity.
    assert max(rarest[:2]) < min(rarest[2:])
    # The pull to zero that the tutorial speaks of.
    assert mean_squares[1] < 0.5 * mean_squares[0]
    assert_printed(
        capsys.readouterr().out,
        [*expected, picture_line(found, figures, tmp_path, draws), *neighbours],
    )


def picture_line(
    found: Namespace, figures: dict[str, list[float]], folder: Path, draws: bool
) -> Line:
    """What is printed of the picture, which holds these figures by label if there is one."""
    if not draws:
        assert "picture" not in found
        return line("the curves are not drawn: matplotlib is not installed; `make dev` installs it")
    curves = {curve.get_label(): curve.get_ydata() for curve in found["axes"].get_lines()}
    assert curves.keys() == figures.keys()
    for label, errors in figures.items():
        np.testing.assert_allclose(curves[label], errors, rtol=1e-5)
    # In a folder of its own.
    assert found["picture"].parents[1] == folder
    assert found["picture"].read_bytes().startswith(b"\x89PNG")
    return line("the curves are drawn in {}", found["picture"])


def test_sigmoid_factorisation(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("sigmoid_factorisation")
    data, train, test = found["data"], found["train"], found["test"]
    tables = tables_of(found["model"])
    p, q = tables["user_embedding"], tables["movie_embedding"]
    mean = train["rating"].astype(np.float64).mean()

    def predict(users: np.ndarray, movies: np.ndarray) -> np.ndarray:
        z = np.log((mean - 1) / (5 - mean)) + np.sum(p[users] * q[movies], axis=1)
        z += tables["user_bias"][users, 0] + tables["movie_bias"][movies, 0]
        return 1 + 4 / (1 + np.exp(-z))

    def rmse(part: Columns) -> float:
        errors = predict(part["user_index"], part["movie_index"]) - part["rating"]
        return float(np.sqrt(np.mean(errors**2)))

    assert rmse(test) < 0.94

    star_wars = data.titles.index("Star Wars (1977)")
    lengths = np.sqrt(np.sum(q**2, axis=1))
    cosines = q @ q[star_wars] / (lengths * lengths[star_wars])
    often_rated = np.flatnonzero(np.bincount(train["movie_index"]) >= 50)
    similar = best_first(cosines, set(often_rated) - {star_wars})[:5]
    assert "Empire Strikes Back, The (1980)" in [data.titles[movie] for movie in similar]

    rated = set(data.ratings["movie_index"][data.ratings["user_index"] == 41])
    # Some of them are held out, and are known to the user all the same.
    assert rated > set(train["movie_index"][train["user_index"] == 41])
    ratings = predict(np.full(1682, 41), np.arange(1682))
    best = best_first(ratings, set(range(1682)) - rated)[:10]

    predicted = predict(test["user_index"], test["movie_index"])
    by_stars = {stars: predicted[test["rating"] == stars] for stars in (1, 2, 3, 4, 5)}
    assert sum(len(chosen) for chosen in by_stars.values()) == len(predicted)
    assert_printed(
        capsys.readouterr().out,
        [
            line("RMSE {:.4f} on train, {:.4f} on test", rmse(train), rmse(test)),
            line("similar to Star Wars (1977):"),
            *(line("  {:.3f}  {}", float(cosines[movie]), data.titles[movie]) for movie in similar),
            line("the user of index 41 has rated {} movies; the best of the others:", len(rated)),
            *(line("  {:.2f}  {}", float(ratings[movie]), data.titles[movie]) for movie in best),
            line("actual  ratings  mean predicted"),
            *(
                line("{:6} {:8} {:15.2f}", stars, len(chosen), float(chosen.mean()))
                for stars, chosen in by_stars.items()
            ),
        ],
    )


# Scores that are nearer to each other than this may change places in float32.
TIE = 2e-6


def figure_of_places(
    figure: Callable[[np.ndarray], float],
    scores: np.ndarray,
    users: np.ndarray,
    movies: np.ndarray,
) -> tuple[float, float]:
    """A figure of how many movies score higher than each pair's.

    Returns:
        The figure in float64, and how far that of float32 may be from it, relative to it.
    """
    above = scores[users] - scores[users, movies][:, np.newaxis]
    # A movie is no more than a near tie above itself.
    fewest, exact, most = np.sum(above > TIE, 1), np.sum(above > 0, 1), np.sum(above > -TIE, 1) - 1
    return figure(exact), (figure(fewest) - figure(most)) / figure(exact)


def ndcg_at_10(users: np.ndarray, place: np.ndarray) -> float:
    """The mean over the users of the discounted gain over that of the best possible order."""
    gain = np.where(place < 10, 1 / np.log2(place + 2), 0)
    of_users = [
        gain[users == user].sum() / np.sum(1 / np.log2(np.arange(min(10, sum(users == user))) + 2))
        for user in np.unique(users)
    ]
    return float(np.mean(of_users))


@pytest.mark.slow
def test_retrieval(capsys: pytest.CaptureFixture[str], trainings: list[list[Tables]]) -> None:
    found = run("retrieval")
    data, train, evaluation = found["data"], found["train"], found["evaluation"]
    liked = evaluation["rating"] >= 4
    users, movies = evaluation["user_index"][liked], evaluation["movie_index"][liked]

    def scores_of(tables: Tables) -> np.ndarray:
        return tables["user_embedding"] @ tables["movie_embedding"].T + tables["movie_bias"][:, 0]

    def unseen(scores: np.ndarray) -> np.ndarray:
        scores = scores.copy()
        scores[train["user_index"], train["movie_index"]] = -np.inf
        return scores

    (epochs,) = trainings
    assert len(epochs) == 8
    ndcg = [
        figure_of_places(partial(ndcg_at_10, users), unseen(scores_of(tables)), users, movies)
        for tables in epochs
    ]
    best_epoch = int(np.argmax([figure for figure, _ in ndcg]))
    tables = tables_of(found["model"])
    for name, table in tables.items():
        np.testing.assert_array_equal(table, epochs[best_epoch][name])

    scores = scores_of(tables)
    accuracy = {
        k: figure_of_places(lambda place, k=k: float(np.mean(place < k)), scores, users, movies)
        for k in (1, 5, 10, 50, 100)
    }
    # So few near ties that no figure is left open.
    assert max(slack * figure for figure, slack in [*ndcg, *accuracy.values()]) < 4e-4
    of_user = unseen(scores)[41]
    best = best_first(of_user, range(1682))[:10]
    seen = int(np.sum(train["user_index"] == 41))
    header = "the user of index 41 has rated {} movies in training; the best of the others:"
    assert_printed(
        capsys.readouterr().out,
        [
            line("epoch  NDCG@10"),
            *(
                line("{:5} {:8.4f}", epoch, figure, slack=slack + 1e-6)
                for epoch, (figure, slack) in enumerate(ndcg, start=1)
            ),
            line(
                "highest NDCG@10 {:.4f} in epoch {}",
                *(ndcg[best_epoch][0], best_epoch + 1),
                slack=ndcg[best_epoch][1] + 1e-6,
            ),
            *(
                line("top {:3}: {:.4f}", k, share, slack=slack + 1e-6)
                for k, (share, slack) in accuracy.items()
            ),
            line(header, seen),
            *(line("  {:6.3f}  {}", float(of_user[movie]), data.titles[movie]) for movie in best),
        ],
    )
