"""A model's answers as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from serving.errors import ServingError


@dataclass(frozen=True)
class Movie:
    """A movie of the model's catalogue."""

    movie_id: str
    title: str


@dataclass(frozen=True)
class RatingInterval:
    """What a user may give a movie: a normal distribution, in stars.

    Attributes:
        rating: Predicted rating, cut to the range of ratings.
        standard_deviation: Standard deviation of the rating that the user would give.
        liked_probability: Probability that it is a rating that counts as liked.
        lowest_rating: Lowest rating that there is; None from a model that does not say.
        highest_rating: Highest one, likewise.
    """

    rating: float
    standard_deviation: float
    liked_probability: float
    lowest_rating: float | None = None
    highest_rating: float | None = None

    def bounds(self, level: float = 0.8) -> tuple[float, float]:
        """Returns the ends of the central interval that holds the rating with a probability.

        They are cut to the range of ratings, where nobody rates beyond.

        Args:
            level: Probability between 0 and 1.

        Raises:
            ServingError: The level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ServingError(f"level: given {level:g}, expected a probability between 0 and 1")
        reach = NormalDist().inv_cdf((1 + level) / 2) * self.standard_deviation
        low, high = self.rating - reach, self.rating + reach
        return (
            low if self.lowest_rating is None else max(low, self.lowest_rating),
            high if self.highest_rating is None else min(high, self.highest_rating),
        )


@dataclass(frozen=True)
class Recommendation:
    """A movie of a list.

    Attributes:
        movie_id: Id of the movie.
        title: Title of the movie.
        score: Number that orders the list: of a retrieval model what it ranks by, and of another
            the rating before it is cut to the range of ratings, plus what the model adds to it.
        rating: Predicted rating in stars, within the range of ratings; None from a model that has
            none, or was exported by a release that did not say it.
    """

    movie_id: str
    title: str
    score: float
    rating: float | None = None

    @property
    def shown(self) -> float:
        """What a reader is shown: the predicted rating or, without one, the score."""
        return self.score if self.rating is None else self.rating


def figure_name(ranking: Sequence[Recommendation]) -> str:
    """Returns what `shown` is in a list: stars or, where a movie has no rating, a score."""
    rated = ranking and all(entry.rating is not None for entry in ranking)
    return "stars" if rated else "score"


@dataclass(frozen=True)
class Reason:
    """A rating of the user, and what it adds to the score of another movie."""

    movie_id: str
    title: str
    rating: float
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why a movie has its score: the baseline, the reasons and the others add up to it.

    Attributes:
        score: Score of the movie, as `Recommendation` has it; −inf for an unknown movie.
        baseline: Score for a user without ratings.
        reasons: Ratings with the largest contributions, the largest first.
        others: The rest of the score.
    """

    score: float
    baseline: float
    reasons: list[Reason]
    others: float


@dataclass(frozen=True)
class VersionStatus:
    """The state of one version on a model server.

    Attributes:
        version: Number of the version.
        state: START, LOADING, AVAILABLE, UNLOADING, END or UNKNOWN.
        error: Reason why it could not be loaded or unloaded; empty if nothing went wrong.
    """

    version: int
    state: str
    error: str
