"""What the measurements print, of figures that are given."""

from __future__ import annotations

import pytest

from benchmarks import accuracy, official_folds, training_speed, uncertainty
from benchmarks.contenders.measuring import Measured
from tests.benchmarks.rendering import rows
from tests.pipeline.summaries import summary


def trained(rmse: float, mae: float, seconds: float) -> Measured:
    return Measured(test_rmse=rmse, test_mae=mae, cpu={"train": seconds})


def test_accuracy_is_the_mean_over_folds_and_its_spread_over_seeds() -> None:
    results = {
        "two seeds": [
            [trained(0.9, 0.7, 1.0), trained(1.0, 0.8, 3.0)],
            [trained(0.92, 0.72, 2.0), trained(1.02, 0.82, 4.0)],
        ],
        "one": [[trained(0.95, 0.75, 0.04), trained(0.97, 0.71, 0.06)]],
    }
    table = accuracy.as_table("", results, {"RMSE": "test_rmse", "MAE": "test_mae"})
    assert rows(table) == [
        ["", "RMSE", "± over seeds", "MAE", "CPU s"],
        # The seeds' means are 0.95 and 0.97.
        ["two seeds", "0.9600", "0.0100", "0.7600", "2.5"],
        ["one", "0.9600", "", "0.7300", "0.1"],
    ]


def test_what_a_model_does_not_predict_is_blank() -> None:
    results = {
        "sure": [[Measured(test_rmse=0.9, test_nll=1.5, cpu={"train": 1.0})]],
        "unsure": [[Measured(test_rmse=1.1, cpu={"train": 1.0})]],
    }
    table = accuracy.as_table("", results, {"RMSE": "test_rmse", "NLL": "test_nll"})
    assert [row[1:4] for row in rows(table)[1:]] == [
        ["0.9000", "", "1.5000"],
        ["1.1000", "", ""],
    ]


def test_uncertainty_is_the_mean_over_folds_and_its_spread_over_seeds() -> None:
    def fold(rmse: float, within: float) -> Measured:
        return Measured(
            test_rmse=rmse,
            test_mae=0.5,
            test_nll=1.25,
            test_star_nll=1.2,
            coverage=[within, 0.8, 0.95],
            cpu={"train": 60.0},
        )

    table = uncertainty.as_table(
        [[fold(0.9, 0.5), fold(1.0, 0.6)], [fold(0.92, 0.5), fold(1.02, 0.6)]]
    )
    shown = rows(table)
    assert shown[0][:2] == ["fold", "RMSE"]
    assert shown[0][5:] == ["within 50%", "within 80%", "within 95%", "CPU s"]
    assert [row[:2] for row in shown[1:]] == [
        ["1", "0.9100"],
        ["2", "1.0100"],
        # The seeds' means are 0.95 and 0.97.
        ["mean", "0.9600"],
        ["± over seeds", "0.0100"],
    ]
    assert shown[3][5] == "0.5500"


def test_speed_is_ratings_a_second_of_training_alone() -> None:
    results = {
        "loop": Measured(6_000_000, {"read": 0.26, "compile": 9.0, "train": 2.0}, {}, 512.4),
        "slow": Measured(1_000_000, {"shuffle": 3.0, "train": 4.0}, {}, 99.6),
    }
    assert rows(training_speed.speed_table("", results))[1:] == [
        ["loop", "0.3", "", "9.0", "3.00", "1.0 x", "512"],
        ["slow", "", "3.0", "", "0.25", "12.0 x", "100"],
    ]


def test_what_accuracy_costs_counts_shuffling_but_not_compiling() -> None:
    results = {
        "loop": [
            Measured(cpu={"train": 1.0, "shuffle": 0.5, "compile": 2.0}, test_rmse=0.9),
            Measured(cpu={"train": 2.0, "shuffle": 0.5, "compile": 4.0}, test_rmse=0.92),
        ],
        "peer": [Measured(cpu={"train": 3.0}, test_rmse=0.95)],
    }
    assert rows(training_speed.accuracy_table(results))[1:] == [
        ["loop", "0.9100", "2.00 ± 0.50", "3.00"],
        ["peer", "0.9500", "3.00 ± 0.00", ""],
    ]


def test_runs_are_shown_by_fold_and_seed() -> None:
    runs = [
        official_folds.Run(
            "biased_mf", 0.9 + 0.01 * fold + 0.02 * seed, 0.7, 0.95, 10 * seed + fold
        )
        for seed in range(2)
        for fold in range(1, 6)
    ]
    heading, *folds, mean = rows(official_folds.as_table(runs))
    assert heading[:3] == ["fold", "RMSE", "± over seeds"]
    assert folds[0] == ["1", "0.9200", "0.0100", "0.7000", "0.9500", "1, 11"]
    assert folds[4] == ["5", "0.9600", "0.0100", "0.7000", "0.9500", "5, 15"]
    assert len(folds) == 5
    assert mean == ["mean", "0.9400", "0.0100", "0.7000", "0.9500", ""]


def test_a_run_is_shown_by_its_holdout() -> None:
    run = official_folds.run_of(summary())
    assert run == ("biased_mf", 0.93, 0.73, 0.95, 7)


def test_a_model_without_ratings_has_no_errors() -> None:
    with pytest.raises(SystemExit, match=r"model\.name=two_tower"):
        official_folds.run_of(summary(model="two_tower", rmse=None, mae=None))
