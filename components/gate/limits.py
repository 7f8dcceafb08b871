"""The limits of the Gate step, as the configuration has them."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from models.records import Options

# The name under which a person accepts a move of the last blessed model's RMSE.
BASELINE_MOVE: Final = "baseline"


class GateLimits(Options):
    """Limits on a model's figures beside those of other weeks and simpler models."""

    max_regression: float = Field(
        0.005, ge=0, description="Largest rise of RMSE above the last blessed model's."
    )
    confidence: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Confidence with which the rise must stay within max_regression; if not set, "
        "the measured rise decides.",
    )
    max_drift_from_best: float = Field(
        0.01,
        ge=0,
        description="Largest sum of the changes of RMSE since the best model that was blessed.",
    )
    max_ranking_drift_from_best: float = Field(
        0.02,
        ge=0,
        description="Largest sum of the falls of NDCG@10 since the best model that was blessed.",
    )
    max_baseline_shift: float = Field(
        0.02,
        ge=0,
        description="Largest difference of the last blessed model's RMSE on this holdout from its "
        "RMSE when it was blessed, up or down, without the one user who moves it most.",
    )
    max_baseline_ndcg_shift: float = Field(
        0.02,
        ge=0,
        description="Largest difference of the last blessed model's NDCG@10 on this holdout from "
        "its NDCG@10 when it was blessed, up or down; of a model that predicts no ratings.",
    )
    min_gain_over_biases: float = Field(
        0.005, description="Least gain of RMSE over the bias-only prediction."
    )
    max_golden_regression: float = Field(
        0.01,
        ge=0,
        description="Largest rise of RMSE, or fall of NDCG@10, from the best blessed model's on "
        "the golden set.",
    )
    min_catalogue_coverage: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Least share of the catalogue that is in a user's first ten recommendations; "
        "if not set, it is not measured.",
    )
    max_popularity_lift: float | None = Field(
        None,
        gt=-1,
        description="Largest relative excess of the popularity of a user's first ten "
        "recommendations over that of what the user rated; if not set, it is not measured.",
    )
    require_baseline: bool = Field(
        False, description="Whether a model is refused where no pushed model compares with it."
    )
