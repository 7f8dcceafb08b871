"""What a rollback means for a push: what was rolled back stays so until a better model comes."""

from __future__ import annotations

from dataclasses import dataclass

from components import push_folder, ratings
from components.push_folder import digest
from models import features
from models.columns import Columns
from serving.pushed_model import PushedModel
from serving.version_pin import Pin


@dataclass(frozen=True)
class Verdict:
    """Whether a model may replace the pinned version, and why, in one line."""

    may_replace: bool
    reason: str


@dataclass(frozen=True)
class _Figure:
    """A figure of a model on the holdout."""

    name: str
    value: float
    lower_is_better: bool

    def is_better_than(self, other: _Figure) -> bool:
        if self.lower_is_better:
            return self.value < other.value
        return self.value > other.value


def judge(
    model_path: str, base_directory: str, pin: Pin, examples: str, liked_rating: float
) -> Verdict | None:
    """Returns what the pin means for a model that is not the pinned version.

    A version that was rolled back may not come again. A new model must have a lower RMSE on the
    holdout than the pinned version or, if it predicts no ratings, a higher NDCG@10.

    Args:
        model_path: Folder of the exported model.
        base_directory: Folder of the versions.
        pin: Pin of that folder.
        examples: Folder of raw ratings with the split holdout.
        liked_rating: Lowest rating of a liked movie.

    Returns:
        The verdict; None if no version is pinned and the model was not rolled back.
    """
    ours = digest(model_path)
    for version, theirs in pin.rejected.items():
        if ours and ours == theirs:
            return Verdict(
                False,
                f"this model is version {version}, which was rolled back; train another one, or "
                f"serve it again with `movierec promote {version}`",
            )
    if pin.version is None:
        return None
    pinned = push_folder.version_folder(base_directory, pin.version)
    if not push_folder.is_complete(pinned):
        return Verdict(
            False,
            f"version {pin.version} is pinned, but its folder is gone; `movierec promote` another",
        )
    if push_folder.comparison_group(model_path) != push_folder.comparison_group(pinned):
        return Verdict(
            False,
            f"version {pin.version} is pinned, and this model was trained on another dataset or "
            "split, so they cannot be compared; `movierec promote` the newest version to lift the "
            "pin",
        )
    holdout = ratings.read(examples, features.HOLDOUT)
    mine, other = (_figure(folder, holdout, liked_rating) for folder in (model_path, pinned))
    figures = (
        f"its {mine.name} of {mine.value:.6f} on the holdout against {other.value:.6f} of "
        f"version {pin.version}, which is pinned{_since(pin)}"
    )
    if mine.is_better_than(other):
        return Verdict(True, f"this model replaces a pinned version: {figures}")
    return Verdict(False, f"this model would replace one that is no worse: {figures}")


def lifted(pin: Pin, version: int, reason: str) -> Pin:
    """Returns the pin after a push of a better version, which servers follow from then on."""
    made = push_folder.change("push", version, pin.version, reason)
    return Pin(rejected=pin.rejected, changes=(*pin.changes, made))


def _since(pin: Pin) -> str:
    last = next((made for made in reversed(pin.changes) if made.version == pin.version), None)
    return f" since {last.at} by {last.by} ({last.reason})" if last else ""


def _figure(folder: str, holdout: Columns, liked_rating: float) -> _Figure:
    with push_folder.local_copy(folder) as copy:
        model = PushedModel(copy)
        if model.predicts_ratings:
            return _Figure("RMSE", ratings.errors(model, holdout).rmse, lower_is_better=True)
        figures = ratings.ranking(model, holdout, liked_rating)
        return _Figure("NDCG@10", figures.ndcg, lower_is_better=False)
