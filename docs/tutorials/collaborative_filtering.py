# %% [markdown]
# # Collaborative filtering, with ratings of your own
#
# Every movie i has features x_i. Every user j has a linear regression (w_j, b_j) on them. The model
# learns both together. It first subtracts each movie's mean rating, so the prediction for a user
# without ratings is the mean of each movie.

# %%
import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf

from docs.tutorials import movielens
from models.rating_statistics import measure
from models.training.loop import TrainingLoop
from models.zoo.collaborative_filtering import CollaborativeFiltering, cofi_cost
from pipeline.config.tree import load_config

data = movielens.load()

# %% [markdown]
# Your own ratings are those of one more user.

# %%
MINE = {
    "Toy Story (1995)": 3.0,
    "GoldenEye (1995)": 2.0,
    "Twelve Monkeys (1995)": 5.0,
    "Usual Suspects, The (1995)": 5.0,
    "Star Wars (1977)": 5.0,
    "Pulp Fiction (1994)": 4.0,
    "Lion King, The (1994)": 1.0,
    "Blade Runner (1982)": 5.0,
    "Fargo (1996)": 4.0,
    "Titanic (1997)": 1.0,
}
me = data.users
mine = {
    "user_index": np.full(len(MINE), me, np.int32),
    "movie_index": np.array([data.movie(title) for title in MINE], np.int32),
    "rating": np.array(list(MINE.values()), np.float32),
}
ratings = {name: np.concatenate([values, mine[name]]) for name, values in data.ratings.items()}
movies, users = len(data.titles), data.users + 1

# %% [markdown]
# The model trains by Adam with learning rate 0.1, in 200 steps over all ratings. These are the
# pipeline's defaults for `model.name=collaborative_filtering`. The loss is the cost J divided by
# the number of ratings.

# %%
config = load_config(overrides=["model.name=collaborative_filtering"])
statistics = measure(ratings, users, movies)
model = CollaborativeFiltering(statistics, config.model, seed=1)
losses: list[float] = []
training = TrainingLoop(model, config.training, report=lambda done: losses.append(done.loss))
training.train_for(ratings, config.training.epochs)
for step in (1, 20, 100, 200):
    print(f"step {step:3}: J = {losses[step - 1] * len(ratings['rating']):6.0f}")

# %% [markdown]
# The same cost, computed over whole matrices as courses write it: X, W, b, the normalised ratings
# Y, and R. R is 1 where there is a rating.

# %%
r = np.zeros((movies, users), np.float32)
y = np.zeros((movies, users), np.float32)
r[ratings["movie_index"], ratings["user_index"]] = 1
y[ratings["movie_index"], ratings["user_index"]] = (
    ratings["rating"] - statistics.movie_rating_mean[ratings["movie_index"]]
)
final_cost = float(
    cofi_cost(
        model.x[:movies],
        model.w[:users],
        tf.transpose(model.b[:users]),
        tf.constant(y),
        tf.constant(r),
        config.model.l2_embedding,
    )
)
print(f"J over the matrices after training = {final_cost:.0f}")

# %% [markdown]
# What would you like? The mean of a few ratings says little about a movie, so only movies with at
# least 100 ratings are candidates.

# %%
predicted = model.predict_rating(np.full(movies, me), np.arange(movies)).numpy()
often_rated = np.bincount(ratings["movie_index"], minlength=movies) >= 100
candidates = np.setdiff1d(np.flatnonzero(often_rated), mine["movie_index"])
best = candidates[np.argsort(-predicted[candidates], kind="stable")][:10]
for movie in best:
    print(f"{predicted[movie]:.2f}  {data.titles[movie]}")

# %%
for movie, given in zip(mine["movie_index"], mine["rating"], strict=True):
    print(f"given {given:.0f}, predicted {predicted[movie]:.2f}  {data.titles[movie]}")
