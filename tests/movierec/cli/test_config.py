import json
import tomllib

from tests.movierec.cli.command import movierec


def test_it_prints_the_configuration_of_a_run() -> None:
    result = movierec("config", "--set", "training.epochs=5")
    assert tomllib.loads(result.stdout)["training"]["epochs"] == 5
    result = movierec("config", "--json", "--set", "model.dimension=7")
    assert json.loads(result.stdout)["model"]["dimension"] == 7
