# %% [markdown]
# # Biases, vectors and a sigmoid
#
# A factorisation with biases, whose sum goes through a sigmoid. No prediction leaves the range of
# ratings. Dimension 15 and RMSprop with momentum are the pipeline's defaults for `sigmoid_mf`.

# %%
import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np

from docs.tutorials import movielens
from models.rating_statistics import measure
from models.training.loop import TrainingLoop
from models.training.metrics import rmse
from models.zoo.sigmoid_mf import SigmoidMatrixFactorization
from pipeline.config.tree import load_config

data = movielens.load()
# Early stopping uses ratings that the test does not.
rest, test = movielens.split(data.ratings, 0.1, seed=1)
train, evaluation = movielens.split(rest, 0.1, seed=2)
config = load_config(overrides=["model.name=sigmoid_mf"])
movies = len(data.titles)
statistics = measure(train, data.users, movies)
model = SigmoidMatrixFactorization(statistics, config.model, seed=1)
TrainingLoop(model, config.training, report=lambda progress: None).train(train, evaluation)
train_rmse, test_rmse = rmse(model, train), rmse(model, test)
print(f"RMSE {train_rmse:.4f} on train, {test_rmse:.4f} on test")

# %% [markdown]
# ## Similar movies
#
# The cosine of two movies' vectors says how similar the movies are. Movies with few ratings are
# left out, because their vectors say little.

# %%
vectors = model.movie_embedding.numpy()[:movies]
unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
often_rated = np.flatnonzero(np.bincount(train["movie_index"], minlength=movies) >= 50)


def similar(movie: int, count: int) -> list[tuple[int, float]]:
    """Returns the most similar movies, each with its cosine."""
    others = often_rated[often_rated != movie]
    cosines = unit[others] @ unit[movie]
    nearest = np.argsort(-cosines, kind="stable")[:count]
    return [(int(others[i]), float(cosines[i])) for i in nearest]


print("similar to Star Wars (1977):")
for movie, cosine in similar(data.movie("Star Wars (1977)"), 5):
    print(f"  {cosine:.3f}  {data.titles[movie]}")

# %% [markdown]
# ## The best movies for a user
#
# Movies that the user has rated, in training or in the test, are left out: the user knows them.

# %%
USER = 41
rated = data.ratings["movie_index"][data.ratings["user_index"] == USER]
predicted = model.predict_rating(np.full(movies, USER), np.arange(movies)).numpy()
unrated = np.setdiff1d(np.arange(movies), rated)
top = unrated[np.argsort(-predicted[unrated], kind="stable")[:10]]
print(f"the user of index {USER} has rated {len(rated)} movies; the best of the others:")
for movie in top:
    print(f"  {predicted[movie]:.2f}  {data.titles[movie]}")

# %% [markdown]
# ## Predicted against actual
#
# The table shows the mean prediction for the test ratings of each number of stars. High ratings are
# underestimated and low ones overestimated, as in every model that minimises the squared error.

# %%
given = test["rating"]
for_test = model.predict_rating(test["user_index"], test["movie_index"]).numpy()
print("actual  ratings  mean predicted")
for stars in np.unique(given):
    chosen = for_test[given == stars]
    print(f"{stars:6.0f} {len(chosen):8} {chosen.mean():15.2f}")
