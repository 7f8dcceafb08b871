# %% [markdown]
# # Factorising the observed ratings
#
# The model fits U · Vᵀ to the observed ratings and to nothing else. Watch its error on ratings that
# it was not trained on: from some epoch on it rises while the training error falls.

# %%
import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tempfile
from pathlib import Path

import numpy as np

from docs.tutorials import movielens
from models.columns import Columns
from models.rating_statistics import measure
from models.training.loop import TrainingLoop
from models.training.progress import Progress
from models.zoo.sparse_mf import SparseMatrixFactorization
from pipeline.config.tree import load_config

data = movielens.load()
movies = len(data.titles)
train, test = movielens.split(data.ratings, 0.1, seed=1)
statistics = measure(train, data.users, movies)

# %% [markdown]
# Dimension 30 with hardly any regularisation shows the overfitting. After each epoch the model's
# error is measured on train and on test ratings. The loop runs all epochs, then restores the
# weights of the epoch with the lowest test error.


# %%
def mean_squared_error(model: SparseMatrixFactorization, ratings: Columns) -> float:
    """Returns the mean squared error in squared stars; predictions are cut to the rating range."""
    predicted = model.predict_rating(ratings["user_index"], ratings["movie_index"]).numpy()
    return float(np.mean(np.square(predicted.astype(np.float64) - ratings["rating"])))


def fit(gravity: float) -> tuple[SparseMatrixFactorization, dict[str, list[float]]]:
    """Trains a model.

    Args:
        gravity: Weight of the mean squared score over all pairs of user and movie.

    Returns:
        The model, and its mean squared errors on `train` and `test` after each epoch.
    """
    config = load_config(
        overrides=[
            "model.name=sparse_mf",
            "model.dimension=30",
            "model.l2_embedding=0.02",
            f"model.gravity={gravity}",
            "training.epochs=20",
            "training.patience=20",
        ]
    )
    model = SparseMatrixFactorization(statistics, config.model, seed=1)
    curves: dict[str, list[float]] = {"train": [], "test": []}

    def measure_epoch(progress: Progress) -> None:
        if progress.fraction_of_epoch == 1:
            curves["train"].append(mean_squared_error(model, train))
            curves["test"].append(mean_squared_error(model, test))

    TrainingLoop(model, config.training, report=measure_epoch).train(train, test)
    return model, curves


# %% [markdown]
# 94 of 100 pairs of user and movie have no rating. The error does not see them, so their scores may
# be anything. Gravity adds the mean squared score over all pairs to the loss. It pulls those scores
# to zero, as if users did not care for movies that they have not rated. It pulls at the rated pairs
# too, so the test error is higher with it.

# %%
fits = {gravity: fit(gravity) for gravity in (0.0, 0.5)}
for gravity, (model, curves) in fits.items():
    print(f"gravity {gravity}")
    print("epoch  train MSE  test MSE")
    for epoch in (1, 2, 4, 6, 8, 10, 15, 20):
        print(f"{epoch:5} {curves['train'][epoch - 1]:10.4f} {curves['test'][epoch - 1]:9.4f}")
    print(f"lowest test MSE {min(curves['test']):.4f} in epoch {1 + np.argmin(curves['test'])}")
    scores = model.user_embedding[:-1].numpy() @ model.movie_embedding[:-1].numpy().T
    print(f"mean squared score over all pairs {np.mean(np.square(scores)):.3f}")

# %% [markdown]
# The same figures as curves, drawn by matplotlib where it is installed.

# %%
try:
    import matplotlib.pyplot as plt
except ModuleNotFoundError:
    print("the curves are not drawn: matplotlib is not installed; `make dev` installs it")
else:
    figure, axes = plt.subplots(layout="constrained")
    for color, (gravity, (_, curves)) in zip(("C0", "C1"), fits.items(), strict=True):
        for style, (part, errors) in zip(("--", "-"), curves.items(), strict=True):
            label = f"{part}, gravity {gravity}"
            axes.plot(range(1, len(errors) + 1), errors, color=color, linestyle=style, label=label)
    axes.set(xlabel="epoch", ylabel="MSE, squared stars", xticks=range(0, 21, 5))
    figure.legend(loc="outside upper center", ncols=2)
    picture = Path(tempfile.mkdtemp(), "sparse_factorisation.png")
    figure.savefig(picture)
    print(f"the curves are drawn in {picture}")

# %% [markdown]
# Movies with similar vectors are liked by the same people. The dot product also rewards long
# vectors, and popular movies have long ones. The cosine compares directions alone. Without gravity,
# some of the nearest movies were rated only about a hundred times. With it, all were rated more
# often.

# %%
rating_count = np.bincount(train["movie_index"], minlength=movies)


def nearest(vectors: np.ndarray, movie: int, count: int, cosine: bool) -> list[tuple[int, float]]:
    """Returns the movies with the nearest vectors, each with its dot product or cosine.

    Args:
        vectors: float32 `[movies, dimension]`.
        movie: Index of the movie to compare with.
        count: Number of movies to return.
        cosine: Compares by cosine if true, else by dot product.
    """
    scores = vectors @ vectors[movie]
    if cosine:
        lengths = np.linalg.norm(vectors, axis=1)
        scores = scores / (lengths * lengths[movie])
    order = [int(other) for other in np.argsort(-scores, kind="stable") if other != movie]
    return [(other, float(scores[other])) for other in order[:count]]


for gravity, (model, _) in fits.items():
    vectors = model.movie_embedding[:-1].numpy()
    for name, cosine in (("dot product", False), ("cosine", True)):
        print(f"nearest to Aladdin (1992) by {name}, gravity {gravity}, with the times rated:")
        for movie, score in nearest(vectors, data.movie("Aladdin (1992)"), 6, cosine):
            print(f"  {score:6.3f} {rating_count[movie]:5}  {data.titles[movie]}")
