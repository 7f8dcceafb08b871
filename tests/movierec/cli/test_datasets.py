import json

from tests.movierec.cli.command import movierec


def test_it_lists_the_datasets() -> None:
    assert "ml-100k" in movierec("datasets").stdout
    names = [entry["name"] for entry in json.loads(movierec("datasets", "--json").stdout)]
    assert names[0] == "ml-100k"
    assert {"ml-1m", "ml-32m", "csv", "parquet"} <= set(names)
