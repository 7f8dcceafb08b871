# %% [markdown]
# # Gradient descent by automatic differentiation
#
# There is one weight and one example. The cost is J(w) = (w x − y)² with x = y = 1, so its minimum
# is at w = 1. `tf.GradientTape` records how J is computed and returns dJ/dw. Nobody has to derive
# it.

# %%
import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf

from models.training.optimizers import SGD, Adam, Optimizer

X, Y = 1.0, 1.0
START, STEPS = 3.0, 30


def cost(w: tf.Variable) -> tf.Tensor:
    """Returns J(w)."""
    return tf.square(w * X - Y)


# %% [markdown]
# Every model in this project trains by such a loop: compute the loss under the tape, take the
# gradient, and let the optimizer change the weight.


# %%
def descend(make_optimizer: type[Optimizer], learning_rate: float) -> list[float]:
    """Returns the weight before the first step and after each step."""
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
# By hand, dJ/dw = 2 (w − 1). A step with learning rate α turns w − 1 into (1 − 2α) (w − 1), so
# after 30 steps w = 1 + 2 (1 − 2α)³⁰. With α = 0.01, 30 steps are far from enough.

# %%
paths = {alpha: descend(SGD, alpha) for alpha in (0.1, 0.01)}
for alpha, path in paths.items():
    print(f"gradient descent, α = {alpha}: w = {path[-1]:.6f} after {STEPS} steps")

# %% [markdown]
# Is that exact? Weights are float32. Between 2 and 4, neighbouring float32 numbers are 2.4e-7
# apart, and each step rounds several times. The sixth decimal therefore depends on how a step is
# written.
#
# For α = 0.01 the tape's step ends at 2.090968, with and without XLA. Multiplied out, the step is w
# ← (1 − 2α) w + 2α. XLA compiles that to one processor operation, which multiplies, adds and rounds
# once. It ends at 2.090970. The formula lies between the two, and both agree on 2.09097.


# %%
def descend_fused(learning_rate: float) -> float:
    """Returns the weight after the last step, where each step rounds to float32 once."""
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
# Adam divides each gradient by a running average of its size. Its first steps are about as long as
# the learning rate, whatever the cost's scale. It also divides by 1 − 0.999ᵗ, and float32 keeps few
# digits of that while t is small. Only four decimals of w are certain.

# %%
adam_path = descend(Adam, 0.1)
print(f"Adam, α = 0.1: w = {adam_path[-1]:.4f} after {STEPS} steps")
