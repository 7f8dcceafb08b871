"""Every tutorial runs, and what it prints is what NumPy computes in float64 from its definition."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Namespace = dict[str, Any]


def run(name: str) -> Namespace:
    return runpy.run_module(f"docs.tutorials.{name}")


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


def test_gradient_descent(capsys: pytest.CaptureFixture[str]) -> None:
    paths = run("gradient_descent")["paths"]
    for alpha in (0.1, 0.01):
        expected = [1 + 2 * (1 - 2 * alpha) ** step for step in range(31)]
        np.testing.assert_allclose(paths[alpha], expected, atol=1e-5)
    assert "α = 0.1: w = 1.002476 after 30 steps" in capsys.readouterr().out
    w = [np.array([3.0])]
    adam(w, lambda weights: [2 * (weights[0] - 1)], 0.1, 30)
    assert paths["adam"][-1] == pytest.approx(w[0][0], abs=1e-5)


def test_collaborative_filtering() -> None:
    found = run("collaborative_filtering")
    ratings, model = found["ratings"], found["model"]
    users, movies, given = (ratings[name] for name in ("user_index", "movie_index", "rating"))
    l2 = 10.0
    means = np.bincount(movies, given) / np.bincount(movies)
    y = given - means[movies]
    options, statistics = found["config"].model, found["statistics"]
    initial = type(model)(statistics, options, seed=1)
    weights = [table.numpy().astype(np.float64)[:-1] for table in (initial.x, initial.w, initial.b)]
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

    adam(weights, gradients, 0.1, 200)
    np.testing.assert_allclose(np.array(found["losses"]) * len(y), costs, rtol=1e-3)
    gradients(weights)
    assert found["final_cost"] == pytest.approx(costs[-1], rel=1e-3)
    x, w, b = weights
    me = found["me"]
    predicted = np.clip(x @ w[me] + b[me, 0] + means, 1, 5)
    np.testing.assert_allclose(found["predicted"][:-1], predicted[:-1], atol=0.05)
    assert not set(found["best"]) & set(found["mine"]["movie_index"])


def test_sparse_factorisation() -> None:
    found = run("sparse_factorisation")
    model, history, test = found["model"], found["history"], found["test"]
    p, q = (
        table.numpy().astype(np.float64) for table in (model.user_embedding, model.movie_embedding)
    )
    scores = np.sum(p[test["user_index"]] * q[test["movie_index"]], axis=1)
    trained_on = set(found["train"]["movie_index"])
    known = np.isin(test["movie_index"], list(trained_on))
    assert known.mean() > 0.99
    mse = np.mean((np.clip(scores, 1, 5) - test["rating"]) ** 2)
    assert min(result.eval_figure for result in history) ** 2 == pytest.approx(mse, rel=1e-5)
    # Both curves: training goes on to fall where the test error has turned.
    assert history[-1].loss < history[found["best"] - 1].loss
    assert history[-1].eval_figure > history[found["best"] - 1].eval_figure
    drawn = {line.get_label(): line.get_ydata() for line in found["axes"].get_lines()}
    np.testing.assert_array_equal(drawn["training loss"], [result.loss for result in history])
    np.testing.assert_allclose(drawn["test MSE"], [result.eval_figure**2 for result in history])
    assert found["picture"].read_bytes().startswith(b"\x89PNG")

    aladdin = found["data"].titles.index("Aladdin (1992)")
    for measure, divisor in (
        ("dot product", np.ones(len(q))),
        ("cosine", np.sqrt(np.sum(q**2, axis=1)) * np.sqrt(np.sum(q[aladdin] ** 2))),
    ):
        by_score = sorted(
            (
                (q[movie] @ q[aladdin] / divisor[movie], title)
                for movie, title in enumerate(found["data"].titles)
                if movie != aladdin
            ),
            reverse=True,
        )
        for (title, score), (expected_score, expected) in zip(
            found["neighbours"][measure], by_score, strict=False
        ):
            assert title == expected
            assert score == pytest.approx(expected_score, rel=1e-4)


def test_sigmoid_factorisation() -> None:
    found = run("sigmoid_factorisation")
    model = found["model"]
    tables = (model.user_bias, model.movie_bias, model.user_embedding, model.movie_embedding)
    user_bias, movie_bias, p, q = (table.numpy().astype(np.float64) for table in tables)
    mean = found["train"]["rating"].astype(np.float64).mean()

    def predict(users: np.ndarray, movies: np.ndarray) -> np.ndarray:
        z = np.log((mean - 1) / (5 - mean)) + user_bias[users, 0] + movie_bias[movies, 0]
        return 1 + 4 / (1 + np.exp(-z - np.sum(p[users] * q[movies], axis=1)))

    for name in ("train", "test"):
        part = found[name]
        errors = predict(part["user_index"], part["movie_index"]) - part["rating"]
        assert found[f"{name}_rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
    assert found["test_rmse"] < 0.94

    star_wars = found["data"].titles.index("Star Wars (1977)")
    for title, cosine in found["similar_movies"]:
        other = found["data"].titles.index(title)
        lengths = np.linalg.norm(q[other]) * np.linalg.norm(q[star_wars])
        assert cosine == pytest.approx(q[other] @ q[star_wars] / lengths, rel=1e-4)
    assert "Empire Strikes Back, The (1980)" in dict(found["similar_movies"])

    user, train = found["USER"], found["train"]
    rated = set(train["movie_index"][train["user_index"] == user])
    everything = np.arange(len(found["data"].titles))
    ranked = sorted(
        (
            (rating, -movie)
            for movie, rating in enumerate(predict(np.full(len(everything), user), everything))
            if movie not in rated
        ),
        reverse=True,
    )
    assert list(found["top"]) == [-movie for _, movie in ranked[:10]]

    test = found["test"]
    predicted = predict(test["user_index"], test["movie_index"])
    for stars, (count, average) in found["table"].items():
        chosen = [
            rating
            for rating, given in zip(predicted, test["rating"], strict=True)
            if given == stars
        ]
        assert len(chosen) == count
        assert np.mean(chosen) == pytest.approx(average, rel=1e-5)


def test_retrieval() -> None:
    found = run("retrieval")
    model, data, train, evaluation = (
        found[name] for name in ("model", "data", "train", "evaluation")
    )
    tables = (model.user_embedding, model.movie_embedding, model.movie_bias)
    p, q, b = (table.numpy()[:-1].astype(np.float64) for table in tables)
    scores = p @ q.T + b[:, 0]
    liked = evaluation["rating"] >= 4
    users, movies = evaluation["user_index"][liked], evaluation["movie_index"][liked]
    places = (scores[users] > scores[users, movies][:, np.newaxis]).sum(axis=1)
    for k, share in found["accuracy"].items():
        assert share == pytest.approx(np.mean(places < int(k)), abs=2e-4)

    scores[train["user_index"], train["movie_index"]] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    discount = 1 / np.log2(np.arange(2, 12))
    ndcg = []
    for user in np.unique(users):
        mine = movies[users == user]
        ndcg.append(discount @ np.isin(order[user], mine) / discount[: len(mine)].sum())
    assert found["ndcg"] == pytest.approx(np.mean(ndcg), abs=1e-4)
    assert found["ndcg"] == max(result.eval_figure for result in found["history"])

    titles = [title for title, _ in found["best"]]
    assert titles == [data.titles[movie] for movie in order[found["USER"]]]
    expected = scores[found["USER"], order[found["USER"]]]
    np.testing.assert_allclose([score for _, score in found["best"]], expected, rtol=1e-4)
