# %% [markdown]
# # Gradient descent by automatic differentiation
#
# One weight, one example: the cost is J(w) = (w x − y)² with x = y = 1, so its minimum is at w = 1.
# `tf.GradientTape` records how J came about and gives dJ/dw; nobody has to derive it.

# %%
import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf

from models.training.optimizers import SGD, Adam, Optimizer

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
# Is that exact? Weights are float32, whose neighbours are 2.4e-7 apart between 2 and 4, and each
# step rounds several times: the sixth decimal depends on how a step is written. For α = 0.01 the
# tape's step ends at 2.090968, and still does when XLA compiles it. Multiplied out, the step is
# w ← (1 − 2α) w + 2α; compiled by XLA, that is one operation of the processor, which multiplies,
# adds and rounds once, and ends at 2.090970. The two are to either side of the formula, and agree
# on 2.09097.


# %%
def descend_fused(learning_rate: float) -> float:
    """The weight after the last step, each step rounded to float32 once."""
    keep, add = np.float32(1 - 2 * learning_rate), np.float32(2 * learning_rate)
    w = np.float32(START)
    for _ in range(STEPS):
        # float64 holds the product of two float32 exactly.
        w = np.float32(np.float64(keep) * w + add)
    return float(w)


print("   α      tape     fused   formula")
for alpha, path in paths.items():
    formula = 1 + 2 * (1 - 2 * alpha) ** STEPS
    print(f"{alpha:4.2f}  {path[-1]:.6f}  {descend_fused(alpha):.6f}  {formula:.6f}")

# %% [markdown]
# Adam divides each gradient by its own running size: its first steps are about as long as the
# learning rate, whatever the cost's scale. It also divides by 1 − 0.999ᵗ, of which float32 keeps
# few digits while t is small: four decimals of w are certain.

# %%
adam_path = descend(Adam, 0.1)
print(f"Adam, α = 0.1: w = {adam_path[-1]:.4f} after {STEPS} steps")
