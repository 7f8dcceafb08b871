import json

from tests.movierec.cli.command import movierec


def test_it_lists_the_datasets() -> None:
    assert "ml-100k" in movierec("datasets").stdout
    names = [entry["name"] for entry in json.loads(movierec("datasets", "--json").stdout)]
    assert names[0] == "ml-100k"
    assert {"ml-1m", "ml-32m", "csv", "parquet"} <= set(names)


def test_only_editions_of_movielens_can_be_fetched() -> None:
    result = movierec("datasets", "fetch", "csv")
    assert result.returncode == 1
    assert "csv: no edition of MovieLens" in result.stderr
