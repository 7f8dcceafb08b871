"""What users rated: the stars of the run that made a version."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from components import ratings
from models import features
from pipeline import summary
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving.answers import Recommendation

# More ratings would take longer to read than a reader waits.
MOST_RATINGS: Final = 2_000_000
# Where the ratings are not known, and the most buttons that a person is offered.
_USUAL_SCALE: Final = (1.0, 2.0, 3.0, 4.0, 5.0)
_MOST_STEPS: Final = 10


class UserRatings:
    """Ratings of a run that the model was trained on, found by user."""

    def __init__(self, examples: str) -> None:
        """Reads the ratings.

        Args:
            examples: Folder of the examples artifact.

        Raises:
            OSError: The folder has no ratings.
        """
        parts = [ratings.read(examples, split) for split in (features.TRAIN, features.EVAL)]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        users = columns[features.USER_ID].astype(bytes)
        order = np.argsort(users, kind="stable")
        self._users = users[order]
        self._columns = {name: values[order] for name, values in columns.items()}

    def of(self, user_id: str) -> list[Recommendation]:
        """Returns the movies that a user rated with their stars, the highest first."""
        start, end = (
            int(np.searchsorted(self._users, user_id.encode(), side)) for side in ("left", "right")
        )
        mine = {name: values[start:end] for name, values in self._columns.items()}
        return [
            Recommendation(
                mine[features.MOVIE_ID][row].decode(errors="replace"),
                mine[features.MOVIE_TITLE][row].decode(errors="replace"),
                float(mine[features.RATING][row]),
            )
            for row in np.argsort(-mine[features.RATING], kind="stable")
        ]

    @property
    def scale(self) -> list[float]:
        """Ratings that people give, up to ten of them, the lowest first."""
        steps: np.ndarray[Any, Any] = np.unique(self._columns[features.RATING])
        if len(steps) > _MOST_STEPS:
            steps = np.linspace(steps[0], steps[-1], len(_USUAL_SCALE))
        return [float(step) for step in steps] or list(_USUAL_SCALE)


def read_user_ratings(workspace: Workspace, version: Path) -> UserRatings | None:
    """Returns the ratings that a version was trained on.

    Args:
        workspace: Workspace of the run.
        version: Folder of the pushed version.

    Returns:
        None if no run of the workspace pushed the version, if its ratings are gone, or if there
        are more than `MOST_RATINGS`.
    """
    try:
        run = summary.of_pushed_model(workspace, version)
    except UserError:
        return None
    if run.rows.train + run.rows.eval > MOST_RATINGS or not Path(run.examples).is_dir():
        return None
    return UserRatings(run.examples)


def scale_of(known: UserRatings | None) -> list[float]:
    """Returns the stars that a person may give; the usual ones if no ratings are known."""
    return list(_USUAL_SCALE) if known is None else known.scale
