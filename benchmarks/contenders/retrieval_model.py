"""A retrieval model of this project, trained as in the pipeline."""

from __future__ import annotations

from benchmarks.contenders.measuring import Measured, arrays, settings
from benchmarks.contenders.own_models import train_as_the_trainer_does
from benchmarks.contenders.ranking import movie_count, rank


def main() -> None:
    """Trains and prints the result. Settings: `model`, its name, and `seed`."""
    chosen, measured, given = settings(), Measured(), arrays()
    trained = train_as_the_trainer_does(
        chosen["model"], chosen["seed"], given, movie_count(given), measured
    )
    users, movies = trained.model.user_vectors().numpy(), trained.model.movie_vectors().numpy()
    rank(users[:-1] @ movies[:-1].T, given, measured)
    measured.print()


if __name__ == "__main__":
    main()
