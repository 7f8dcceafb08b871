"""What is trained, blessed and pushed over a series of runs in one workspace."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.drift.report import NAMES
from pipeline.config.tree import load_config
from pipeline.summary import newest_first
from pipeline.workspace import Workspace
from tests.e2e.pipeline_runs import ROWS, SMALL, STEPS, Story, worst_slice
from tests.e2e.pushed_models import split_ratings, vocabulary

# What runs when a model was trained.
TRAINED = {"Trainer", "Evaluator", "Gate", "ServingValidator", "Pusher"}


def test_every_row_of_the_file_is_in_exactly_one_split(first_run: Story, cut: Path) -> None:
    summary = first_run.runs["first"]
    with (cut / "ratings.csv").open() as file:
        expected = Counter(
            (row["userId"], row["movieId"], float(row["rating"])) for row in csv.DictReader(file)
        )
    splits = {name: split_ratings(summary, name) for name in ("train", "eval", "holdout")}
    assert Counter(rating for split in splits.values() for rating in split) == expected
    assert summary.rows.read == ROWS
    assert summary.rows.rejected == 0
    for name, ratings in splits.items():
        assert getattr(summary.rows, name) == len(ratings)


def test_the_first_model_is_blessed_on_the_absolute_gate_and_pushed(first_run: Story) -> None:
    summary = first_run.runs["first"]
    assert summary.gate.blessed
    assert summary.gate.baseline_rmse is None
    assert "no blessed model to compare with" in summary.gate.reason
    assert summary.pushed_model is not None
    assert Path(summary.pushed_model, "saved_model.pb").is_file()
    assert summary.cached == []
    assert summary.rmse.holdout < summary.baselines.global_mean


def test_reported_errors_are_those_of_the_pushed_model(first_run: Story) -> None:
    """RMSE by TFMA against RMSE in NumPy, over the exported model's own predictions."""
    summary = first_run.runs["first"]
    model = tf.saved_model.load(first_run.runs["first"].pushed_model)
    users, movies, stars = zip(*split_ratings(summary, "holdout"), strict=True)
    predicted = model.signatures["predict"](
        user_id=tf.constant(users), movie_id=tf.constant(movies)
    )["rating"].numpy()
    errors = predicted.astype(np.float64) - np.array(stars)
    assert summary.rmse.holdout == pytest.approx(np.sqrt(np.mean(errors**2)), abs=1e-6)
    assert summary.mae.holdout == pytest.approx(np.mean(np.abs(errors)), abs=1e-6)
    assert summary.calibration == pytest.approx(np.mean(predicted) / np.mean(stars), abs=1e-6)


def test_baselines_are_fitted_on_train_and_eval_and_measured_on_holdout(first_run: Story) -> None:
    summary = first_run.runs["first"]
    fitted_on = split_ratings(summary, "train") + split_ratings(summary, "eval")
    mean = np.mean([stars for _, _, stars in fitted_on])
    holdout = np.array([stars for _, _, stars in split_ratings(summary, "holdout")])
    expected = np.sqrt(np.mean((holdout - mean) ** 2))
    assert summary.baselines.global_mean == pytest.approx(expected, abs=1e-6)
    assert summary.baselines.bias_only < summary.baselines.global_mean


def test_results_are_sliced_by_what_the_data_has(first_run: Story) -> None:
    slices = first_run.runs["first"].slices
    assert {name.partition("=")[0] for name in slices} == {
        "movie_genres", "user_activity", "movie_popularity_decile",
    }  # fmt: skip
    assert {"movie_genres=Drama", "user_activity=1-20"} <= set(slices)


@pytest.mark.slow
def test_what_the_search_found_is_what_is_trained(sequel: Story) -> None:
    before, summary = sequel.runs["first"], sequel.runs["tuned"]
    assert set(summary.cached) == STEPS - TRAINED
    assert set(summary.seconds) >= {"Tuner"}
    assert summary.tuning.trials == 3
    assert set(summary.tuning.best) == {"training.learning_rate", "model.l2_embedding"}
    # The Trainer's own figure, of weights before they were trained on eval too.
    assert summary.rmse.eval == pytest.approx(summary.tuning.eval_figure, abs=1e-6)
    # The first trial is what is configured.
    assert summary.rmse.eval <= before.rmse.eval + 1e-6
    assert before.tuning is None


def test_a_second_run_does_nothing_and_reports_the_same(first_run: Story) -> None:
    first, again = first_run.runs["first"], first_run.runs["again"]
    assert set(again.cached) == STEPS
    varying = {"run_id", "seconds", "peak_memory_mb", "cached", "drift"}
    assert again.model_dump(exclude=varying) == first.model_dump(exclude=varying)
    assert first_run.versions["again"] == first_run.versions["first"]


def test_the_data_is_held_against_that_of_the_last_blessed_model(first_run: Story) -> None:
    first, again = first_run.runs["first"], first_run.runs["again"]
    assert first.drift.version is None
    assert again.drift.version == Path(str(first.pushed_model)).name
    # The data are one table, so that no span can be held against the others.
    assert {move.name for move in again.drift.moves} == {*NAMES} - {"span"}
    assert {move.moved for move in again.drift.moves} == {0.0}


@pytest.mark.slow
def test_a_stricter_gate_evaluates_again_and_nothing_else(story: Story) -> None:
    summary = story.runs["stricter gate"]
    assert set(summary.cached) == STEPS - {"Evaluator", "Gate", "Pusher"}


@pytest.mark.slow
def test_a_model_worse_than_the_gate_is_not_pushed(story: Story) -> None:
    summary = story.runs["stricter gate"]
    assert not summary.gate.blessed
    assert summary.pushed_model is None
    assert "is above gate.max_rmse 0.5" in summary.gate.reason
    assert "(gate.max_popularity_lift allows -0.99)" in summary.gate.reason
    assert story.runs["first"].gate.lists is None, "what no limit needs is not measured"
    assert story.versions["stricter gate"] == story.versions["first"]


@pytest.mark.slow
def test_a_model_worse_than_the_last_blessed_one_is_not_pushed(story: Story) -> None:
    summary, first = story.runs["worse model"], story.runs["first"]
    assert set(summary.cached) == STEPS - TRAINED
    assert first.rmse.holdout + 0.005 < summary.rmse.holdout < 1.1
    assert not summary.gate.blessed
    assert summary.gate.baseline_rmse == pytest.approx(first.rmse.holdout, abs=1e-9)
    assert "against the last blessed model's" in summary.gate.reason
    assert "gate.max_regression allows +0.005" in summary.gate.reason
    assert summary.pushed_model is None
    assert story.versions["worse model"] == story.versions["first"]


def test_what_a_model_server_did_with_the_model_is_told(first_run: Story) -> None:
    serving = first_run.runs["first"].serving
    assert serving.blessed
    assert serving.server == "embedded"
    assert serving.max_difference <= 1e-4
    model = tf.saved_model.load(first_run.runs["first"].pushed_model)
    assert set(serving.latency) == set(model.signatures)


@pytest.mark.slow
def test_a_model_that_answers_nan_is_not_pushed_though_its_ratings_are_right(story: Story) -> None:
    summary = story.runs["exports NaN"]
    assert summary.gate.blessed
    assert not summary.serving.blessed
    movies = len(vocabulary(story.runs["version deleted"], "movie_ids"))
    assert summary.serving.reason.startswith("recommend: ")
    assert f" 0 of {movies} movies" in summary.serving.reason
    assert summary.refusal == summary.serving.reason
    assert summary.pushed_model is None
    assert story.versions["exports NaN"] == story.versions["absent slice"]


@pytest.mark.slow
def test_a_model_that_no_server_answers_with_is_no_baseline(sequel: Story) -> None:
    refused, after = sequel.runs["exports NaN"], sequel.runs["trainer edited"]
    assert after.gate.baseline_rmse == pytest.approx(sequel.runs["trained anew"].rmse.holdout)
    assert after.gate.baseline_rmse != pytest.approx(refused.rmse.holdout, abs=1e-3)


def test_the_warm_up_requests_can_be_replayed(first_run: Story) -> None:
    """A model server that cannot does not load the model."""
    folder = first_run.runs["first"].pushed_model
    model = tf.saved_model.load(folder)
    asked = set()
    requests = Path(str(folder), "assets.extra", "tf_serving_warmup_requests")
    for record in tf.data.TFRecordDataset(str(requests)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        name = request.model_spec.signature_name
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        for values in model.signatures[name](**inputs).values():
            if values.dtype.is_floating:
                assert not np.isnan(values).any()
        asked.add(name)
    assert asked == set(model.signatures)


@pytest.mark.slow
def test_the_tolerance_decides(story: Story) -> None:
    summary = story.runs["worse model let through"]
    assert summary.gate.blessed
    assert summary.pushed_model is not None
    assert len(story.versions["worse model let through"]) == 2


@pytest.mark.slow
def test_going_back_to_an_earlier_model_makes_it_the_newest_version(story: Story) -> None:
    worse, back = story.runs["worse model let through"], story.runs["back to the first"]
    assert "Trainer" in back.cached
    assert back.gate.baseline_rmse == pytest.approx(worse.rmse.holdout, abs=1e-9)
    assert int(Path(str(back.pushed_model)).name) > int(Path(str(worse.pushed_model)).name)


@pytest.mark.slow
def test_a_version_that_was_deleted_is_pushed_again(story: Story) -> None:
    summary = story.runs["version deleted"]
    assert set(summary.cached) == STEPS - {"Pusher"}
    assert Path(str(summary.pushed_model), "saved_model.pb").is_file()


@pytest.mark.slow
def test_the_same_seed_trained_anew_gives_the_same_model_and_zero_tolerance_lets_it_pass(
    sequel: Story,
) -> None:
    first, anew = sequel.runs["first"], sequel.runs["trained anew"]
    assert anew.cached == []
    for split in ("train", "eval", "holdout"):
        assert getattr(anew.rmse, split) == pytest.approx(getattr(first.rmse, split), abs=1e-6)
    assert anew.gate.max_regression == 0
    assert anew.gate.baseline_rmse == pytest.approx(anew.rmse.holdout, abs=1e-9)
    assert anew.gate.blessed


@pytest.mark.slow
def test_a_slice_that_the_gate_names_is_held_to_it(story: Story) -> None:
    summary = story.runs["failing slice"]
    worst, bound = worst_slice(story.runs["first"])
    assert summary.rmse.holdout < bound < summary.slices[worst]
    assert not summary.gate.blessed
    assert f"RMSE {summary.slices[worst]:.4f} on {worst} is above" in summary.gate.reason
    assert summary.pushed_model is None


@pytest.mark.slow
def test_a_slice_without_ratings_fails_the_gate(story: Story) -> None:
    summary = story.runs["absent slice"]
    assert not summary.gate.blessed
    assert "no rating in the slice movie_genres=Opera" in summary.gate.reason


@pytest.mark.slow
def test_edited_code_runs_the_steps_that_depend_on_it(sequel: Story) -> None:
    assert set(sequel.runs["trainer edited"].cached) == STEPS - TRAINED
    # Transform waits for the validator but takes nothing from it.
    validated = sequel.runs["validator edited"]
    assert "ExampleValidator" not in validated.cached
    assert {"MovieLensExampleGen", "StatisticsGen", "Transform"} <= set(validated.cached)


@pytest.mark.slow
def test_another_split_runs_all_but_the_schema_and_has_no_baseline(sequel: Story) -> None:
    summary = sequel.runs["split by time"]
    assert summary.cached == ["ImportSchemaGen"]
    assert summary.gate.baseline_rmse is None
    splits = {
        split: [
            tf.train.Example.FromString(record.numpy())
            .features.feature["timestamp"]
            .int64_list.value[0]
            for record in tf.data.TFRecordDataset(
                [str(path) for path in Path(summary.examples, f"Split-{split}").iterdir()],
                compression_type="GZIP",
            )
        ]
        for split in ("train", "eval", "holdout")
    }
    assert max(splits["train"]) < min(splits["eval"])
    assert max(splits["eval"]) < min(splits["holdout"])


@pytest.mark.slow
def test_a_new_rating_runs_what_reads_it_and_is_compared_with_the_last_model(sequel: Story) -> None:
    summary = sequel.runs["a new rating"]
    assert summary.cached == ["ImportSchemaGen"]
    assert summary.rows.read == sequel.runs["first"].rows.read + 1
    assert summary.gate.baseline_rmse is not None


@pytest.mark.slow
def test_every_run_leaves_its_config_its_log_and_its_summary(story: Story) -> None:
    written = {one.run_id: one for one in newest_first(Workspace(story.workspace))}
    for summary in story.runs.values():
        folder = story.workspace / "runs" / summary.run_id
        assert written[summary.run_id] == summary
        assert (folder / "log.txt").stat().st_size > 0
    folder = story.workspace / "runs" / story.runs["first"].run_id
    expected = load_config(None, [f"data.path={story.data}", *SMALL])
    assert load_config(folder / "config.toml") == expected
