# %% [markdown]
# # Factorising the observed ratings
#
# U · Vᵀ is fitted to the ratings that exist and to nothing else. What it does on ratings that it
# was not trained on is the curve to watch: from some epoch on it rises while the training error
# falls.

# %%
import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from docs.tutorials import movielens
from models.loop import TrainingLoop, best_epoch
from models.rating_statistics import measure
from models.sparse_mf import SparseMatrixFactorization
from pipeline.config import load_config

data = movielens.load()
train, test = movielens.split(data.ratings, 0.1, seed=1)

# %% [markdown]
# Dimension 30 and hardly any regularisation, to see it overfit. The loop keeps the weights of the
# epoch with the lowest test error.

# %%
config = load_config(
    overrides=[
        "model.name=sparse_mf",
        "model.dimension=30",
        "model.l2_embedding=0.02",
        "training.epochs=40",
        "training.patience=40",
    ]
)
statistics = measure(train, data.users, len(data.titles), float(train["rating"].mean()))
model = SparseMatrixFactorization(statistics, config.model, seed=1)
training = TrainingLoop(model, config.training, report=lambda progress: None)
history = training.train(train, test)

# %%
print("epoch  train loss   test MSE")
for result in history[:: len(history) // 10]:
    print(f"{result.epoch:5} {result.loss:11.4f} {result.eval_figure**2:10.4f}")
best = best_epoch(history)

figure, axes = plt.subplots()
epochs = [result.epoch for result in history]
axes.plot(epochs, [result.loss for result in history], label="training loss")
axes.plot(epochs, [result.eval_figure**2 for result in history], label="test MSE")
axes.axvline(best, linestyle=":", color="grey", label="lowest test MSE")
axes.set(xlabel="epoch", ylabel="squared stars", title="sparse factorisation, dimension 30")
axes.legend()
picture = Path(tempfile.gettempdir(), "sparse_factorisation.png")
figure.savefig(picture)
print(f"the curves are drawn in {picture}")

print(f"lowest test MSE {history[best - 1].eval_figure ** 2:.4f} in epoch {best}")

# %% [markdown]
# Movies with similar vectors were liked by the same people. The dot product also rewards a long
# vector, and popular movies have long ones; the cosine looks at the direction alone.

# %%
vectors = model.movie_embedding.numpy()[: len(data.titles)]
lengths = np.linalg.norm(vectors, axis=1)


def nearest(title: str, count: int, cosine: bool) -> list[tuple[str, float]]:
    """The movies whose vectors are nearest to that of a movie, with the measure."""
    movie = data.movie(title)
    scores = vectors @ vectors[movie]
    if cosine:
        scores = scores / (lengths * lengths[movie])
    order = [other for other in np.argsort(-scores, kind="stable") if other != movie]
    return [(data.titles[other], float(scores[other])) for other in order[:count]]


neighbours = {
    measure_name: nearest("Aladdin (1992)", 6, cosine)
    for measure_name, cosine in (("dot product", False), ("cosine", True))
}
for measure_name, found in neighbours.items():
    print(f"nearest to Aladdin (1992) by {measure_name}:")
    for title, score in found:
        print(f"  {score:6.3f}  {title}")
