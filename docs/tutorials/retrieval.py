# %% [markdown]
# # Two towers and a brute-force index
#
# Each user and each movie has a vector. Training makes the movies that a user likes score higher
# than the other movies of a batch. An index over the whole catalogue then finds the best movies.

# %%
import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tensorflow as tf
import tensorflow_recommenders as tfrs

from docs.tutorials import movielens
from models.rating_statistics import measure
from models.training.history import best_epoch, best_eval_figure
from models.training.loop import TrainingLoop
from models.training.metrics import (
    NormalizedDiscountedCumulativeGain,
    liked_pairs,
    top_k_accuracy,
)
from models.zoo.two_tower import TwoTower
from pipeline.config.tree import load_config

data = movielens.load()
movies = len(data.titles)
train, evaluation = movielens.split(data.ratings, 0.1, seed=1)
config = load_config(overrides=["model.name=two_tower", "model.dimension=32", "training.epochs=8"])
statistics = measure(train, data.users, movies)

# %% [markdown]
# Early stopping watches NDCG@10: how high the liked movies rank among all that the user has not
# rated in training.

# %%
model = TwoTower(statistics, config.model, seed=1)
criterion = NormalizedDiscountedCumulativeGain(statistics.seen, config.model.liked_rating)
training = TrainingLoop(model, config.training, report=lambda progress: None, criterion=criterion)
history = training.train(train, evaluation)
print("epoch  NDCG@10")
for result in history:
    print(f"{result.epoch:5} {result.eval_figure:8.4f}")
ndcg = best_eval_figure(history, criterion)
print(f"highest NDCG@10 {ndcg:.4f} in epoch {best_epoch(history, criterion)}")

# %% [markdown]
# TFRS's own metric is simpler: how often a liked movie is among the first k of the whole catalogue.
# Movies that the user has rated before are still in it.

# %%
accuracy = top_k_accuracy(model, liked_pairs(evaluation, config.model.liked_rating))
for k, share in accuracy.items():
    print(f"top {k:>3}: {share:.4f}")

# %% [markdown]
# The index holds the movies' vectors in the order of their indices, and returns indices. A query is
# a user's vector. Movies that the user rated in training are excluded. Those rated in the eval
# split can be found.

# %%
USER = 41
index = tfrs.layers.factorized_top_k.BruteForce(k=10)
index.index(model.movie_vectors()[:-1])
seen = train["movie_index"][train["user_index"] == USER]
scores, best = index.query_with_exclusions(
    model.user_vectors()[USER : USER + 1], exclusions=tf.constant([seen])
)
print(f"the user of index {USER} has rated {len(seen)} movies in training; the best of the others:")
for movie, score in zip(best[0].numpy(), scores[0].numpy(), strict=True):
    print(f"  {score:6.3f}  {data.titles[movie]}")
