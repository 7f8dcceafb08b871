"""A rating model of this project, trained as in the pipeline."""

from __future__ import annotations

from benchmarks.contenders.measuring import Measured, arrays, settings
from benchmarks.contenders.own_models import test, train_as_the_trainer_does
from models.contracts import predicts_ratings


def main() -> None:
    """Trains and prints the result.

    Settings: `model`, its name, `seed`, and optionally `epochs`, which takes the place of the first
    of the Trainer's passes.
    """
    chosen, measured, given = settings(), Measured(), arrays()
    movies = int(given["movie_index"].max()) + 1
    trained = train_as_the_trainer_does(
        chosen["model"], chosen["seed"], given, movies, measured, chosen.get("epochs")
    )
    assert predicts_ratings(trained.model)
    test(trained.model, trained.statistics, given, measured)
    measured.print()


if __name__ == "__main__":
    main()
