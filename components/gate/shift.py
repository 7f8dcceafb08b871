"""The move of a fixed model's RMSE from one holdout to another, beyond what one user explains."""

from __future__ import annotations

import numpy as np

from components.gate.interval import Vector, rmse_influence, standard_error
from models.records import Record


class Shift(Record):
    """The move of a model's RMSE since it was blessed.

    Attributes:
        moved: RMSE now less RMSE then, in stars, without the one user who moves it most.
        standard_error: Standard error of that RMSE now; users are the sample.
    """

    moved: float
    standard_error: float


def rmse_shift(errors: Vector, users: Vector, then: float) -> Shift:
    """Returns the move of RMSE without the user who moves it most.

    A single person who dislikes hundreds of movies moves the RMSE of a good week more than a
    poisoning of many users may. MovieLens-100K has such persons. So what counts is what is left
    without any one of them.

    Args:
        errors: Errors of the model on the new holdout in stars, float64 `[n]`.
        users: Id of the user of each rating, `[n]`.
        then: RMSE when the model was blessed.
    """
    _, index = np.unique(users, return_inverse=True)
    squares = np.square(errors)
    rows, sums = np.bincount(index), np.bincount(index, squares)
    if len(rows) == 1:
        rest = np.ones(len(errors), bool)
    else:
        without = np.sqrt((sums.sum() - sums) / (len(errors) - rows))
        rest = index != np.argmin(np.abs(without - then))
    return Shift(
        moved=float(np.sqrt(squares[rest].mean()) - then),
        standard_error=standard_error(rmse_influence(errors[rest]), users[rest]),
    )
