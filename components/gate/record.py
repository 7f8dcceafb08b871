"""The record of a blessed model. This module imports neither TensorFlow nor TFX."""

from __future__ import annotations

from models.records import Record


class GoldenFigures(Record):
    """Figures of a model on the golden set.

    Attributes:
        pairs: Digest of the set's pairs of user and movie.
        stars: Digest of the set's ratings and of the lowest rating of a liked movie; empty in a
            record of an earlier release.
        ratings: Number of ratings.
        rmse: RMSE in stars; None for a model that predicts no ratings.
        ndcg: NDCG@10; None for a model that retrieves nothing.
        best_rmse: Lowest RMSE of a blessed model on the same ratings.
        best_ndcg: Highest NDCG@10 of one.
    """

    pairs: str
    stars: str = ""
    ratings: int
    rmse: float | None
    ndcg: float | None
    best_rmse: float | None
    best_ndcg: float | None


class GoldenComparison(Record):
    """A model and the last blessed one on the golden set.

    Attributes:
        candidate: Figures of the model.
        baseline: Figures of the last blessed model; None if there is none that was kept from this
            golden set.
        standard_error: Standard error of the change of RMSE; users are the sample.
    """

    candidate: GoldenFigures
    baseline: GoldenFigures | None = None
    standard_error: float = 0.0


class GateRecord(Record):
    """Figures of a model when it was blessed, on the holdout of that run.

    Attributes:
        rmse: RMSE in stars; None for a model that predicts no ratings.
        ndcg: NDCG@10; None for a model that retrieves nothing.
        liked_rating: Lowest rating of a liked movie, on which `ndcg` depends; None without it, or
            if it is not known.
        above_best: Stars of RMSE that were lost since the best blessed model, summed over the
            runs since, each measured on the holdout of its run.
        below_best: NDCG@10 that was lost since the best blessed model, summed likewise.
        accepted_drift: Names of the moves of the data that a person accepted for this run.
        data_fingerprint: Digest of the files of the ratings; empty if it is not known.
        trained_until: Time of the newest rating that the model was trained on, in seconds since
            1970; None if it is not known.
        golden: Figures on the golden set, whose ratings the model was kept from; None without one.
    """

    rmse: float | None
    ndcg: float | None
    liked_rating: float | None = None
    above_best: float = 0.0
    below_best: float = 0.0
    accepted_drift: tuple[str, ...] = ()
    data_fingerprint: str = ""
    trained_until: int | None = None
    golden: GoldenFigures | None = None
