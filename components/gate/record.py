"""The record of a blessed model. This module imports neither TensorFlow nor TFX."""

from __future__ import annotations

from models.records import Record


class GateRecord(Record):
    """Figures of a model when it was blessed, on the holdout of that run.

    Attributes:
        rmse: RMSE in stars; None for a model that predicts no ratings.
        ndcg: NDCG@10; None for a model that retrieves nothing.
        above_best: Stars of RMSE that were lost since the best blessed model, summed over the
            runs since, each measured on the holdout of its run.
        below_best: NDCG@10 that was lost since the best blessed model, summed likewise.
        accepted_drift: Names of the moves of the data that a person accepted for this run.
        data_fingerprint: Digest of the files of the ratings; empty if it is not known.
        trained_until: Time of the newest rating that the model was trained on, in seconds since
            1970; None if it is not known.
    """

    rmse: float | None
    ndcg: float | None
    above_best: float = 0.0
    below_best: float = 0.0
    accepted_drift: tuple[str, ...] = ()
    data_fingerprint: str = ""
    trained_until: int | None = None
