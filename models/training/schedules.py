"""The learning rate of each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.options import TrainingOptions


def learning_rates(
    options: TrainingOptions, epoch: int, steps: int
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The learning rate of each step of an epoch (from 1), float32 `[steps]`.

    Warm-up rises linearly from zero over `warmup_epochs`, and multiplies the schedule. Cosine
    decay runs from `learning_rate` to zero over all `options.epochs` (Loshchilov & Hutter, 2017,
    equation 5, without restarts).
    """
    epochs_done = epoch - 1 + np.arange(steps) / steps
    rates = np.full(steps, options.learning_rate)
    if options.schedule == "cosine":
        rates *= 0.5 * (1 + np.cos(np.pi * epochs_done / options.epochs))
    if options.warmup_epochs:
        # The first step already moves: it counts as done when it is taken.
        rates *= np.minimum(1.0, (epochs_done + 1 / steps) / options.warmup_epochs)
    return rates.astype(np.float32)
