# %% [markdown]
# # Gradient descent by automatic differentiation
#
# One weight, one example: the cost is J(w) = (w x − y)² with x = y = 1, so its minimum is at w = 1.
# `tf.GradientTape` records how J came about and gives dJ/dw; nobody has to derive it.

# %%
import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import tensorflow as tf

from models.optimizers import SGD, Adam, Optimizer

X, Y = 1.0, 1.0
START, STEPS = 3.0, 30


def cost(w: tf.Variable) -> tf.Tensor:
    """J(w)."""
    return tf.square(w * X - Y)


# %% [markdown]
# The loop is the one that every model here trains in, with one step of one batch: compute the loss
# under the tape, take the gradient, let the optimizer change the weight.


# %%
def descend(make_optimizer: type[Optimizer], learning_rate: float) -> list[float]:
    """The weight before each step, and after the last."""
    w = tf.Variable(START)
    optimizer = make_optimizer([w])
    path = [float(w)]
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            loss = cost(w)
        optimizer.apply([tape.gradient(loss, w)], tf.constant(learning_rate))
        path.append(float(w))
    return path


# %% [markdown]
# By hand, dJ/dw = 2 (w − 1), so a step with learning rate α takes w − 1 to (1 − 2α) (w − 1): after
# 30 steps w = 1 + 2 (1 − 2α)³⁰. A tenth of the learning rate is far from enough.

# %%
paths = {alpha: descend(SGD, alpha) for alpha in (0.1, 0.01)}
for alpha, path in paths.items():
    print(f"gradient descent, α = {alpha}: w = {path[-1]:.6f} after {STEPS} steps")

# %% [markdown]
# Adam divides each gradient by its own running size: its first steps are about as long as the
# learning rate, whatever the cost's scale.

# %%
paths["adam"] = descend(Adam, 0.1)
print(f"Adam, α = 0.1: w = {paths['adam'][-1]:.6f} after {STEPS} steps")
