"""What the comparison of two chains exports and shows."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv
import pytest

from benchmarks import chain
from tests.benchmarks.rendering import rows


def measured(seconds: float, **steps: float) -> chain.Measured:
    return chain.Measured(steps, seconds, 2 * seconds, 1000.0, 0.9)


def test_a_figure_is_the_median_of_the_rounds() -> None:
    middle = chain.medians([measured(value, Trainer=value) for value in (5.0, 1.0, 2.0)])
    assert (middle.seconds, middle.cpu_seconds, middle.steps) == (2.0, 4.0, {"Trainer": 2.0})


def test_steps_of_the_same_kind_share_a_row() -> None:
    table = chain.as_table(
        {
            chain.OURS: measured(10.0, MovieLensExampleGen=1.0, ServingValidator=3.0),
            chain.CACHED: measured(2.0, MovieLensExampleGen=0.1, ServingValidator=0.2),
            chain.PLAIN: measured(40.0, CsvExampleGen=9.0),
        }
    )
    by_name = {row[0]: row[1:] for row in rows(table)}
    assert by_name["MovieLensExampleGen"] == ["1.0", "0.1", "9.0", ""]
    assert by_name["ServingValidator"] == ["3.0", "0.2", "", ""]
    assert "CsvExampleGen" not in by_name
    assert by_name["total, seconds"] == ["10.0", "2.0", "40.0", "0.25"]


def test_the_plain_chain_gets_all_ratings(tmp_path: Path) -> None:
    chain.export(tmp_path / "ratings.csv")
    assert '"' not in (tmp_path / "ratings.csv").read_text(encoding="utf-8").partition("\n")[0]
    table = pyarrow.csv.read_csv(tmp_path / "ratings.csv")
    assert table.num_rows == 100_000
    assert pyarrow.types.is_int64(table["user_id"].type)
    assert table["rating"].to_numpy().mean() == pytest.approx(3.52986)
    assert "Animation|Children's|Comedy" in set(table["movie_genres"].to_pylist())
