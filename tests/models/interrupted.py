"""A training in a process of its own that can be told to die; run by test_resume.

    python -m tests.models.interrupted CHECKPOINTS WEIGHTS.npz SIGNAL AFTER_CALLS

Sends itself the signal (0: none) after a number of calls of the compiled function, and writes the
weights if it comes to the end.
"""

from __future__ import annotations

import os
import signal
import sys

import numpy as np

from models import loop
from models.errors import TrainingStoppedError
from models.options import TrainingOptions
from models.progress import Progress
from tests.models.factories import biased_mf, ratings


def main(checkpoints: str, weights: str, number: int, after_calls: int) -> None:
    # Several calls an epoch, so that it can be interrupted within one.
    loop._RATINGS_PER_CALL = 32
    rng = np.random.default_rng(5)
    model, columns, evaluation = biased_mf(rng), ratings(rng, 150), ratings(rng, 30)
    calls = 0

    def report(progress: Progress) -> None:
        nonlocal calls
        calls += 1
        if number and calls == after_calls:
            os.kill(os.getpid(), signal.Signals(number))

    options = TrainingOptions(
        epochs=5,
        batch_size=16,
        learning_rate=0.1,
        optimizer="adam",
        patience=5,
        checkpoint_seconds=0,
    )
    training = loop.TrainingLoop(model, options, checkpoints, report)
    try:
        history = training.train(columns, evaluation)
    except TrainingStoppedError as stopped:
        print(stopped)
        sys.exit(3)
    values = {f"w{i}": v.numpy() for i, v in enumerate(model.trainable_variables)}
    rmse = np.array([result.eval_rmse for result in history])
    loss = np.array([result.loss for result in history])
    np.savez(weights, rmse=rmse, loss=loss, calls=calls, **values)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
