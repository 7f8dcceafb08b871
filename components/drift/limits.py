"""The limits of the drift check, as the configuration has them."""

from __future__ import annotations

from pydantic import Field

from models.records import Options


class DriftLimits(Options):
    """The largest moves of the ratings since the last blessed model."""

    max_shrink: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest share of the ratings, users or movies that may be gone.",
    )
    max_changed: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Largest share of the earlier ratings that may have other stars or times, a "
        "movie with another title or genres, or a user with another profile.",
    )
    max_late: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Largest share of ratings that are new and yet older than the newest earlier "
        "rating.",
    )
    max_rating_divergence: float = Field(
        0.0005,
        ge=0,
        le=1,
        description="Largest Jensen-Shannon divergence of the histogram of ratings.",
    )
    max_span_divergence: float = Field(
        0.12,
        ge=0,
        le=1,
        description="Largest Jensen-Shannon divergence of the newest span's ratings from those of "
        "the spans before.",
    )
    max_genre_shift: float = Field(
        0.02, ge=0, le=1, description="Largest change of a genre's share of all genres."
    )
    max_activity_shift: float = Field(
        0.2, ge=0, description="Largest relative change of the number of ratings per user."
    )
    max_time_shift_days: float = Field(
        30.0, ge=0, description="Largest change of the mean time of a rating, in days."
    )
