# %% [markdown]
# # Biases, vectors and a sigmoid
#
# A factorisation with biases whose sum goes through a sigmoid, so that no prediction leaves the
# range of ratings. RMSprop with momentum, dimension 15: the pipeline's defaults for `sigmoid_mf`.

# %%
import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np

from docs.tutorials import movielens
from models.criteria import rmse
from models.loop import TrainingLoop
from models.rating_statistics import measure
from models.sigmoid_mf import SigmoidMatrixFactorization
from pipeline.config import load_config

data = movielens.load()
# Early stopping looks at other ratings than the test does.
rest, test = movielens.split(data.ratings, 0.1, seed=1)
train, evaluation = movielens.split(rest, 0.1, seed=2)
config = load_config(overrides=["model.name=sigmoid_mf"])
movies = len(data.titles)
statistics = measure(train, data.users, movies, float(train["rating"].mean()))
model = SigmoidMatrixFactorization(statistics, config.model, seed=1)
TrainingLoop(model, config.training, report=lambda progress: None).train(train, evaluation)
train_rmse, test_rmse = rmse(model, train), rmse(model, test)
print(f"RMSE {train_rmse:.4f} on train, {test_rmse:.4f} on test")

# %% [markdown]
# ## Similar movies
#
# By the cosine of their vectors, among those with enough ratings for a vector to say something.

# %%
vectors = model.movie_embedding.numpy()[:movies]
unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
often_rated = np.flatnonzero(np.bincount(train["movie_index"], minlength=movies) >= 50)


def similar(title: str, count: int) -> list[tuple[str, float]]:
    """The most similar movies, with the cosine."""
    movie = data.movie(title)
    others = often_rated[often_rated != movie]
    cosines = unit[others] @ unit[movie]
    return [
        (data.titles[others[i]], float(cosines[i]))
        for i in np.argsort(-cosines, kind="stable")[:count]
    ]


similar_movies = similar("Star Wars (1977)", 5)
print("similar to Star Wars (1977):")
for title, cosine in similar_movies:
    print(f"  {cosine:.3f}  {title}")

# %% [markdown]
# ## The best movies for a user
#
# Without those that the user has rated.

# %%
USER = 41
seen = train["movie_index"][train["user_index"] == USER]
predicted = model.predict_rating(np.full(movies, USER), np.arange(movies)).numpy()
unseen = np.setdiff1d(np.arange(movies), seen)
top = unseen[np.argsort(-predicted[unseen], kind="stable")[:10]]
print(f"user {USER} has rated {len(seen)} movies; of the others the best are:")
for movie in top:
    print(f"  {predicted[movie]:.2f}  {data.titles[movie]}")

# %% [markdown]
# ## Predicted against actual
#
# The mean prediction for the test ratings of each number of stars: high ratings are underestimated
# and low ones overestimated, as by every model that minimises the squared error.

# %%
given = test["rating"]
for_test = model.predict_rating(test["user_index"], test["movie_index"]).numpy()
table = {
    int(stars): (int(np.sum(given == stars)), float(for_test[given == stars].mean()))
    for stars in np.unique(given)
}
print("actual  ratings  mean predicted")
for stars, (count, mean) in table.items():
    print(f"{stars:6} {count:8} {mean:15.2f}")
