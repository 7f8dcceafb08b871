"""The movies that a SavedModel knows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from components.serving_validator.errors import UnservableModelError
from models import features
from models.catalogue import ids_of

_VOCABULARY: Final = f"assets/{features.MOVIE_VOCABULARY}"


def movie_ids(saved_model: Path) -> list[bytes]:
    """The ids in the movie vocabulary of the Transform graph.

    Raises:
        UnservableModelError: there is no such file, or no movie in it.
    """
    try:
        lines = (saved_model / _VOCABULARY).read_bytes().splitlines()
    except FileNotFoundError as error:
        raise UnservableModelError(f"the model has no {_VOCABULARY}") from error
    if not lines:
        raise UnservableModelError(f"{_VOCABULARY}: there is no movie in it")
    return ids_of(lines)
