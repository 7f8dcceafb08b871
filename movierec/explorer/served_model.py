"""The served model with what its export and its run tell about it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from movierec.explorer.exported_catalogue import ExportedCatalogue, read_exported_catalogue
from movierec.explorer.user_ratings import UserRatings, read_user_ratings
from pipeline.workspace import Workspace
from serving.client import RecommenderClient, RequestRefusedError
from serving.errors import ServingError
from serving.version_pin import read_pin
from serving.versions import version_number, versions

_AVAILABLE: Final = "AVAILABLE"
_LEVEL: Final = 0.95
# Code of a request to a signature that the model does not have.
_NO_SIGNATURE: Final = "FAILED_PRECONDITION"
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class PredictedRating:
    """A predicted rating, in stars.

    Attributes:
        rating: Expected rating.
        standard_deviation: Uncertainty; None from a model that does not tell it.
        bounds: Interval that holds the rating with a probability of 95 %, likewise.
    """

    rating: float
    standard_deviation: float | None = None
    bounds: tuple[float, float] | None = None


def if_offered(ask: Callable[[], _Value]) -> _Value | None:
    """Returns an answer of the server; None if the model has no signature for it."""
    try:
        return ask()
    except RequestRefusedError as error:
        if error.code.name != _NO_SIGNATURE:
            raise
        return None


class _LastOne(Generic[_Value]):
    """Keeps the value of the version that was asked for last."""

    def __init__(self, read: Callable[[Path], _Value]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._kept: tuple[Path, _Value] | None = None

    def of(self, version: Path) -> _Value:
        with self._lock:
            if self._kept is None or self._kept[0] != version:
                self._kept = version, self._read(version)
            return self._kept[1]


class ServedModel:
    """One model on a server, and the version of it that answers; threads may share it.

    Attributes:
        client: Client of the server.
    """

    def __init__(self, client: RecommenderClient, workspace: Workspace, model_name: str) -> None:
        """Takes the places; nothing is asked or read yet.

        Args:
            client: Client of the server.
            workspace: Workspace that the model was pushed in.
            model_name: Name under which it is served.
        """
        self.client = client
        self._folder = workspace.serving(model_name)
        self._catalogues = _LastOne(read_exported_catalogue)
        self._ratings = _LastOne(lambda version: read_user_ratings(workspace, version))

    def version(self) -> int:
        """Returns the number of the version that answers.

        Raises:
            ServingError: The server cannot be asked, or no version answers.
        """
        pinned = read_pin(self._folder).version
        statuses = self.client.model_status()
        answering = [status.version for status in statuses if status.state == _AVAILABLE]
        if not answering:
            states = "; ".join(f"{each.version} is {each.state} {each.error}" for each in statuses)
            raise ServingError(f"no version of the model answers: {states or 'there is none'}")
        allowed = [number for number in answering if pinned is None or number <= pinned]
        return max(allowed or answering)

    def catalogue(self) -> ExportedCatalogue:
        """Returns the catalogue of the version that answers.

        Raises:
            ServingError: The server cannot be asked, or the workspace has not this version.
        """
        version = self._version_folder()
        try:
            return self._catalogues.of(version)
        except KeyError as error:
            raise ServingError(
                f"version {version.name} was exported by an earlier release, without genres; train "
                "and push it again"
            ) from error

    def ratings(self) -> UserRatings | None:
        """Returns the ratings that this version was trained on; None if they are not at hand."""
        return self._ratings.of(self._version_folder())

    def predicted_rating(self, user_id: str, movie_id: str) -> PredictedRating | None:
        """Returns the predicted rating of a pair; None from a model that predicts no ratings.

        Args:
            user_id: Raw id, known to the model or not.
            movie_id: Raw id of the movie.
        """
        interval = if_offered(lambda: self.client.predict_interval([user_id], [movie_id])[0])
        if interval is not None:
            return PredictedRating(
                interval.rating, interval.standard_deviation, interval.bounds(_LEVEL)
            )
        rating = if_offered(lambda: self.client.predict([user_id], [movie_id])[0])
        return None if rating is None else PredictedRating(rating)

    def _version_folder(self) -> Path:
        number = self.version()
        for folder in versions(self._folder):
            if version_number(folder.name) == number:
                return folder.resolve()
        raise ServingError(
            f"the server answers with version {number}, which {self._folder} does not have; give "
            "the workspace that the server serves"
        )
