"""The report of a backtest. This module imports neither TensorFlow nor TFX."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from components.gate.judgement import ACCEPTED
from models.records import Record


class Week(Record):
    """What one policy would have served in a week.

    Attributes:
        week: First day.
        ratings: Number of ratings of the week, on which the figures are.
        trained: Whether a model was trained at its start.
        blessed: Whether the gate blessed that model; None if none was trained.
        reasons: Reasons of the gate against it.
        notes: What the gate notes, such as an alarm that a person would be asked about.
        epochs: Epochs of its training until early stopping; None if none was trained.
        seconds: Seconds of its training.
        rmse: RMSE of the served model on the week, in stars; None if it predicts no ratings.
        ndcg: NDCG@10 on what was liked in the week; None if nothing was.
    """

    week: str
    ratings: int
    trained: bool
    blessed: bool | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    epochs: int | None = None
    seconds: float = 0.0
    rmse: float | None
    ndcg: float | None

    @property
    def has_alarm(self) -> bool:
        """Whether the gate would have asked a person about the ratings."""
        return any(note.startswith(ACCEPTED) for note in self.notes)


class PolicyReport(Record):
    """The weeks of one policy, and what they come to.

    Attributes:
        model: Name of the model.
        policy: Policy, such as `warm/4`.
        rmse: RMSE over the ratings of all weeks; None if the model predicts no ratings.
        ndcg: Mean of NDCG@10 over the weeks.
        trainings: Number of trainings.
        refused: Number of models that the gate refused.
        all_epochs: Epochs of all trainings until early stopping.
        seconds: Seconds of all trainings.
        weeks: Weeks, oldest first.
    """

    model: str
    policy: str
    rmse: float | None
    ndcg: float | None
    trainings: int
    refused: int
    all_epochs: int
    seconds: float
    weeks: tuple[Week, ...]


class BacktestReport(Record):
    """The policies that were compared on the same weeks, and what to do.

    Attributes:
        advice: Lines on how often to train and whether a warm start pays.
    """

    dataset: str
    policies: tuple[PolicyReport, ...]
    advice: tuple[str, ...]


def summed(model: str, policy: str, weeks: Sequence[Week]) -> PolicyReport:
    """Returns the report on the weeks of a policy."""
    rated = [(week.rmse, week.ratings) for week in weeks if week.rmse is not None]
    liked = [week.ndcg for week in weeks if week.ndcg is not None]
    trained = [week for week in weeks if week.trained]
    squares = sum(rmse**2 * ratings for rmse, ratings in rated)
    return PolicyReport(
        model=model,
        policy=policy,
        rmse=math.sqrt(squares / sum(ratings for _, ratings in rated)) if rated else None,
        ndcg=sum(liked) / len(liked) if liked else None,
        trainings=len(trained),
        refused=sum(week.blessed is False for week in trained),
        all_epochs=sum(week.epochs or 0 for week in trained),
        seconds=sum(week.seconds for week in weeks),
        weeks=tuple(weeks),
    )


def advice(policies: Iterable[PolicyReport]) -> Iterator[str]:
    """Yields a line for each policy beside the fresh start in every week, the first of its model.

    Args:
        policies: Reports; what has no report of `fresh` beside it is left out.
    """
    by_model: dict[str, list[PolicyReport]] = {}
    for one in policies:
        by_model.setdefault(one.model, []).append(one)
    for model, reports in by_model.items():
        fresh = next((one for one in reports if one.policy == "fresh"), None)
        for other in reports:
            if fresh is None or other is fresh:
                continue
            parts = [
                f"{other.seconds / fresh.seconds:.0%} of the seconds and "
                f"{other.all_epochs / fresh.all_epochs:.0%} of the epochs"
            ]
            parts += [
                f"{label} {ours - theirs:+.4f}"
                for label, ours, theirs in (
                    ("RMSE", other.rmse, fresh.rmse),
                    ("NDCG@10", other.ndcg, fresh.ndcg),
                )
                if ours is not None and theirs is not None
            ]
            yield f"{model}: {other.policy} instead of fresh takes {', '.join(parts)}"
