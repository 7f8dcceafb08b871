"""The figures of models on the golden set, and what speaks against a model there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from components import push_folder, ratings
from components.gate.interval import Vector, rmse, rmse_influence, standard_error
from components.gate.limits import GateLimits
from components.gate.record import GateRecord, GoldenComparison, GoldenFigures
from models import features
from models.columns import Columns
from serving.pushed_model import PushedModel

_SEPARATOR: Final = b"\0"


def compare(
    export: str, baseline: str | None, record: GateRecord | None, golden: Columns, liked: float
) -> GoldenComparison:
    """Returns the comparison of a model with the last blessed one.

    Args:
        export: Folder of the exported model.
        baseline: Folder of the last blessed model; None if there is none.
        record: Record of the last blessed model. One without this golden set may have been trained
            on its ratings, so it is not compared. Where the set has other stars since, the best
            figures of earlier models are those on other ratings, so the last model's count.
        golden: Columns `user_id`, `movie_id` and `rating` of the golden set, `[n]` each.
        liked: Lowest rating of a liked movie.
    """
    pairs = _digest(golden, (features.USER_ID, features.MOVIE_ID))
    stars = _digest(golden, (features.USER_ID, features.MOVIE_ID, features.RATING), str(liked))
    ours, our_errors = _figures(export, golden, liked, pairs, stars)
    before = None if record is None else record.golden
    if baseline is None or before is None or before.pairs != pairs:
        return GoldenComparison(candidate=ours)
    theirs, their_errors = _figures(baseline, golden, liked, pairs, stars)
    error = 0.0
    if our_errors is not None and their_errors is not None:
        influence = rmse_influence(our_errors) - rmse_influence(their_errors)
        error = standard_error(influence, golden[features.USER_ID])
    # A record of an earlier release does not say.
    best = before if before.stars in ("", stars) else theirs
    return GoldenComparison(
        candidate=ours.model_copy(update=_best(ours, best)),
        baseline=theirs.model_copy(
            update={"best_rmse": best.best_rmse, "best_ndcg": best.best_ndcg}
        ),
        standard_error=error,
    )


def objections(comparison: GoldenComparison, limits: GateLimits) -> Iterator[str]:
    """Yields what speaks against the model.

    The golden set stays the same, so the best figure of any week counts, not the last.
    """
    ours, theirs = comparison.candidate, comparison.baseline
    if theirs is None:
        return
    if ours.rmse is not None and theirs.best_rmse is not None:
        rise, allowed = ours.rmse - theirs.best_rmse, limits.max_golden_regression
        # What the few users of a golden set differ by anyway is no regression.
        if not rise <= max(allowed, comparison.standard_error):
            yield (
                f"RMSE {ours.rmse:.4f} on the golden set is {rise:+.4f} above the best blessed "
                f"model's (gate.max_golden_regression allows {allowed:+g})"
            )
    if ours.ndcg is not None and theirs.best_ndcg is not None:
        fall = theirs.best_ndcg - ours.ndcg
        if not fall <= limits.max_golden_regression:
            yield (
                f"NDCG@10 {ours.ndcg:.4f} on the golden set is {fall:.4f} below the best blessed "
                f"model's (gate.max_golden_regression allows {limits.max_golden_regression:g})"
            )


def note(comparison: GoldenComparison) -> str:
    """Returns the figures in one line."""
    ours, theirs = comparison.candidate, comparison.baseline
    figures = [
        f"{name} {own:.4f}" + ("" if other is None else f" (the last blessed model's {other:.4f})")
        for name, own, other in (
            ("RMSE", ours.rmse, theirs and theirs.rmse),
            ("NDCG@10", ours.ndcg, theirs and theirs.ndcg),
        )
        if own is not None
    ]
    compared = "" if theirs is not None else ", and no model to compare with was kept from it"
    return f"golden set of {ours.ratings:,} ratings: {', '.join(figures)}{compared}"


def _figures(
    export: str, golden: Columns, liked: float, pairs: str, stars: str
) -> tuple[GoldenFigures, Vector | None]:
    """Returns the figures of a model, and its errors if it predicts ratings."""
    with push_folder.local_copy(export) as folder:
        model = PushedModel(folder)
        errors = None
        if model.predicts_ratings:
            predicted = model.predict(golden[features.USER_ID], golden[features.MOVIE_ID])
            errors = predicted.astype(np.float64) - golden[features.RATING]
        ndcg = ratings.ranking(model, golden, liked).ndcg if model.retrieves else None
    own = None if errors is None else rmse(errors)
    figures = GoldenFigures(
        pairs=pairs,
        stars=stars,
        ratings=len(golden[features.RATING]),
        rmse=own,
        ndcg=ndcg,
        best_rmse=own,
        best_ndcg=ndcg,
    )
    return figures, errors


def _best(ours: GoldenFigures, before: GoldenFigures) -> dict[str, float | None]:
    """Returns the best figures of all weeks, this one included."""
    rmses = [value for value in (ours.rmse, before.best_rmse) if value is not None]
    ndcgs = [value for value in (ours.ndcg, before.best_ndcg) if value is not None]
    return {"best_rmse": min(rmses, default=None), "best_ndcg": max(ndcgs, default=None)}


def _digest(golden: Columns, names: Sequence[str], setting: str = "") -> str:
    """Returns the digest of some columns and a setting, in any order of the rows."""
    columns = (golden[name] for name in names)
    rows = (
        b"".join(_text(value) + _SEPARATOR for value in row) for row in zip(*columns, strict=True)
    )
    digest = hashlib.sha256()
    for row in sorted(rows):
        digest.update(row)
    digest.update(setting.encode())
    return digest.hexdigest()


def _text(value: bytes | np.floating[Any]) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
