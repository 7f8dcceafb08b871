"""The Gate as a step: what it reads of an evaluation, and what it leaves for the next run."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import statistics_pb2
from tensorflow_model_analysis.proto import metrics_for_slice_pb2
from tfx import types
from tfx.types import standard_artifacts
from tfx.types.experimental import simple_artifacts

from components.gate.component import Executor, read_judgement
from components.gate.limits import GateLimits
from components.gate.record import GateRecord
from components.gate.release import (
    read_record,
    read_sample,
    read_statistics,
    write_record,
    write_sample,
)
from components.movielens_example_gen import rating_sample
from components.movielens_example_gen.rating_sample import RatingSample
from models.export.saved_model import write_comparison_group
from tests.components import ingest_reports

# Users and ratings.
HOLDOUT = [(b"a", 5.0), (b"a", 4.0), (b"b", 2.0), (b"b", 3.5), (b"c", 1.0), (b"d", 5.0)]
SAMPLE = RatingSample(
    keys=np.array([0.25]),
    stars=np.array([5.0], np.float32),
    times=np.array([7]),
    movies=np.array([1], np.uint64),
    users=np.array([1], np.uint64),
    spans=np.array([2]),
    oldest=3,
    newest=77,
    first_span=1,
)
# RMSE of the last model, which predicts 3.0 for all, on these ratings.
RMSE_OF_LAST = float(np.sqrt((4 + 1 + 1 + 0.25 + 4 + 4) / 6))


def artifact(kind: type[types.Artifact], folder: Path) -> types.Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    made = kind()
    made.uri = str(folder)
    return made


class Constant(tf.Module):
    """Predicts one rating for everybody."""

    def __init__(self, rating: float) -> None:
        super().__init__()
        self.rating = tf.Variable(rating)

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, n) for n in ("user_id", "movie_id")]
    )
    def predict(self, user_id: tf.Tensor, movie_id: tf.Tensor) -> dict[str, tf.Tensor]:
        del movie_id
        return {"rating": tf.fill(tf.shape(user_id), self.rating)}


def model(
    folder: Path, export: str, rating: float, record: GateRecord | None = None
) -> types.Artifact:
    """An exported model, which the text in its fingerprint stands for."""
    made = artifact(standard_artifacts.Model, folder)
    exported = folder / "Format-Serving"
    constant = Constant(rating)
    tf.saved_model.save(constant, str(exported), signatures={"predict": constant.predict})
    (exported / "fingerprint.pb").write_text(export)
    write_comparison_group(str(exported), "group")
    if record is not None:
        write_record(str(exported), record)
    return made


def evaluation(folder: Path, metrics_of: dict[str, dict[str, float]]) -> types.Artifact:
    """An evaluation as TFMA writes it: figures by model, on all ratings and, far worse, on a slice.

    Args:
        folder: Folder to write to.
        metrics_of: Value by name of the model and name of the metric.
    """
    made = artifact(standard_artifacts.ModelEvaluation, folder)
    with tf.io.TFRecordWriter(str(folder / "metrics-00000-of-00001.tfrecord")) as writer:
        for slice_name in ("", "Drama"):
            metrics = metrics_for_slice_pb2.MetricsForSlice()
            if slice_name:
                key = metrics.slice_key.single_slice_keys.add(column="movie_genres")
                key.bytes_value = slice_name.encode()
            for model_name, figures in metrics_of.items():
                for (name, value), is_diff in itertools.product(figures.items(), (False, True)):
                    entry = metrics.metric_keys_and_values.add()
                    entry.key.name = name
                    entry.key.model_name = model_name
                    entry.key.is_diff = is_diff
                    wrong = is_diff or slice_name
                    entry.value.double_value.value = 9.0 if wrong else value
            writer.write(metrics.SerializeToString())
    return made


def statistics(folder: Path) -> types.Artifact:
    """Statistics of 7 ratings of 2 users, whose ids are secret."""
    made = artifact(standard_artifacts.ExampleStatistics, folder)
    made.split_names = '["train", "eval", "holdout"]'
    everything = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = everything.datasets.add(num_examples=7)
    users = dataset.features.add()
    users.path.step.append("user_id")
    users.string_stats.unique = 2
    users.string_stats.top_values.add(value="secret", frequency=6)
    users.string_stats.rank_histogram.buckets.add(label="secret", sample_count=6)
    dataset.features.add().path.step.append("movie_title")
    (folder / "Split-train").mkdir()
    (folder / "Split-train" / "FeatureStats.pb").write_bytes(everything.SerializeToString())
    return made


def examples(folder: Path) -> types.Artifact:
    """A holdout as ExampleGen writes it."""
    made = artifact(standard_artifacts.Examples, folder)
    made.split_names = '["train", "eval", "holdout"]'
    (folder / "Split-holdout").mkdir()
    ingest_reports.write(folder, trained_until=77)
    rating_sample.write(str(folder), SAMPLE)
    path = str(folder / "Split-holdout" / "data_tfrecord-00000-of-00001.gz")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for user, stars in HOLDOUT:
            example = tf.train.Example()
            example.features.feature["user_id"].bytes_list.value.append(user)
            example.features.feature["movie_id"].bytes_list.value.append(b"m")
            example.features.feature["rating"].float_list.value.append(stars)
            writer.write(example.SerializeToString())
    return made


def run(
    folder: Path,
    rmse: dict[str, float],
    last: GateRecord | None = None,
    evaluator_blessed: bool = True,
    accepted: str = "",
    pushed: Path | None = None,
    ndcg: dict[str, dict[str, float]] | None = None,
) -> tuple[types.Artifact, types.Artifact]:
    """Returns the blessing and the release of a model with biases only at 0.95.

    Args:
        folder: Folder of everything.
        rmse: RMSE by name of the model; empty for models that predict no ratings.
        last: Record of the last blessed model, if there is one.
        evaluator_blessed: Whether the Evaluator blessed the model.
        accepted: Moves that are accepted.
        pushed: Folder of the pushed models.
        ndcg: Figures of rankings by name of the model and of the figure.
    """
    figures = {name: {"root_mean_squared_error": value} for name, value in rmse.items()}
    blessing_before = artifact(standard_artifacts.ModelBlessing, folder / "evaluator_blessing")
    blessing_before.set_int_custom_property("blessed", int(evaluator_blessed))
    baselines = artifact(simple_artifacts.Metrics, folder / "baselines")
    (folder / "baselines" / "baselines.json").write_text(
        json.dumps({"global_mean": 1.1, "bias_only": 0.95})
    )
    blessing = artifact(standard_artifacts.ModelBlessing, folder / "blessing")
    release = artifact(standard_artifacts.Model, folder / "release")
    Executor().Do(
        {
            "examples": [examples(folder / "examples")],
            "model": [model(folder / "model", "new", 3.5)],
            "baseline_model": [model(folder / "last", "old", 3.0, last)] if last else [],
            "evaluation": [evaluation(folder / "evaluation", ndcg or figures)],
            "evaluator_blessing": [blessing_before],
            "baselines": [baselines],
            "statistics": [statistics(folder / "statistics")],
        },
        {"blessing": [blessing], "release": [release]},
        {
            "limits": GateLimits().model_dump_json(),
            "accepted_drift": accepted,
            "rmse_metric": "root_mean_squared_error" if rmse else None,
            "ndcg_metric": "ndcg" if ndcg else None,
            "ndcg_change_error_metric": "change_error" if ndcg else None,
            "liked_rating": 4.0,
            "pushed": str(pushed or folder / "pushed"),
            "comparison_group": "group",
        },
    )
    return blessing, release


def test_a_blessed_model_is_released_with_its_record(tmp_path: Path) -> None:
    last = GateRecord(rmse=RMSE_OF_LAST, ndcg=None, above_best=0.002)
    blessing, release = run(tmp_path, {"candidate": 0.914, "baseline": 0.91}, last)
    assert blessing.get_int_custom_property("blessed") == 1
    assert (tmp_path / "blessing" / "BLESSED").exists()
    exported = Path(release.uri) / "Format-Serving"
    assert (exported / "saved_model.pb").exists()
    assert (exported / "fingerprint.pb").read_text() == "new"
    found = read_record(str(exported))
    assert found is not None
    assert found.rmse == 0.914
    assert found.above_best == pytest.approx(0.002 + 0.004)
    of_week = read_statistics(str(exported))
    assert of_week is not None
    (dataset,) = of_week.datasets
    assert dataset.num_examples == 7
    (users,) = dataset.features
    assert users.string_stats.unique == 2
    assert b"secret" not in of_week.SerializeToString()
    of_ratings = read_sample(str(exported))
    assert of_ratings is not None
    assert (of_ratings.keys, of_ratings.newest) == (0.25, 77)
    # The Trainer's own artifact stays as it was.
    assert read_record(str(tmp_path / "model" / "Format-Serving")) is None


def test_the_change_has_an_interval_from_both_models_own_predictions(tmp_path: Path) -> None:
    last = GateRecord(rmse=RMSE_OF_LAST, ndcg=None)
    blessing, _ = run(tmp_path, {"candidate": 0.91, "baseline": 0.91}, last)
    interval = read_judgement(blessing.uri).interval
    assert interval is not None
    stars = np.array([stars for _, stars in HOLDOUT])
    ours, theirs = (np.sqrt(np.mean((rating - stars) ** 2)) for rating in (3.5, 3.0))
    assert interval.difference == pytest.approx(ours - theirs)
    assert interval.confidence == 0.95
    assert interval.low < interval.difference < interval.high
    blessing, _ = run(tmp_path / "first", {"": 0.9})
    assert read_judgement(blessing.uri).interval is None


def test_the_change_of_a_ranking_has_an_interval_from_the_evaluation(tmp_path: Path) -> None:
    last = GateRecord(rmse=None, ndcg=0.3)
    candidate, baseline = {"ndcg": 0.31, "change_error": 0.02}, {"ndcg": 0.3}
    both = {"candidate": candidate, "baseline": baseline}
    blessing, _ = run(tmp_path / "1", {}, last, ndcg=both)
    interval = read_judgement(blessing.uri).ndcg_interval
    assert interval is not None
    # 1.959964 is the 97.5 % quantile of the standard normal distribution.
    assert (interval.low, interval.high) == pytest.approx(
        (0.01 - 1.959964 * 0.02, 0.01 + 1.959964 * 0.02)
    )
    one_user = {"candidate": candidate | {"change_error": math.nan}, "baseline": baseline}
    blessing, _ = run(tmp_path / "2", {}, last, ndcg=one_user)
    assert read_judgement(blessing.uri).ndcg_interval is None
    blessing, _ = run(tmp_path / "3", {}, ndcg={"": {"ndcg": 0.31}})
    assert read_judgement(blessing.uri).ndcg_interval is None


def test_the_alarm_of_the_last_model_refuses_a_model_that_the_evaluator_blessed(
    tmp_path: Path,
) -> None:
    """Half of the users flipped: the figures of the attack that the product once let through."""
    last = GateRecord(rmse=0.913, ndcg=None)
    blessing, release = run(tmp_path, {"candidate": 0.91, "baseline": 1.486}, last)
    assert blessing.get_int_custom_property("blessed") == 0
    assert (tmp_path / "blessing" / "NOT_BLESSED").exists()
    assert list(Path(release.uri).iterdir()) == []
    (failure,) = read_judgement(blessing.uri).failures
    assert "from 0.9130 to 1.4860" in failure


def test_what_the_evaluator_refused_is_not_released(tmp_path: Path) -> None:
    blessing, release = run(tmp_path, {"": 0.9}, evaluator_blessed=False)
    assert blessing.get_int_custom_property("blessed") == 0
    assert read_judgement(blessing.uri).failures == ()
    assert list(Path(release.uri).iterdir()) == []


def test_a_first_model_is_released_without_a_baseline(tmp_path: Path) -> None:
    blessing, release = run(tmp_path, {"": 0.9})
    assert blessing.get_int_custom_property("blessed") == 1
    record = read_record(str(Path(release.uri) / "Format-Serving"))
    assert record == GateRecord(rmse=0.9, ndcg=None, data_fingerprint="digest", trained_until=77)


@pytest.mark.parametrize(("accepted", "stars"), [("", 4.0), ("changed,titles", 5.0)])
def test_the_released_sample_has_the_stars_that_were_seen_first(
    tmp_path: Path, accepted: str, stars: float
) -> None:
    exported = Path(model(tmp_path / "pushed", "old", 3.0).uri) / "Format-Serving"
    write_sample(str(exported), dataclasses.replace(SAMPLE, stars=np.array([4.0], np.float32)))
    exported.rename(tmp_path / "pushed" / "7")
    _, release = run(tmp_path, {"": 0.9}, accepted=accepted, pushed=tmp_path / "pushed")
    kept = read_sample(str(Path(release.uri) / "Format-Serving"))
    assert kept is not None
    assert kept.stars == stars


def test_an_accepted_move_is_recorded_and_holds_for_the_model_that_was_pushed(
    tmp_path: Path,
) -> None:
    last = GateRecord(rmse=0.8, ndcg=None)
    figures = {"candidate": 0.9, "baseline": 0.9}
    blessing, release = run(tmp_path / "1", figures, last, accepted="baseline")
    assert blessing.get_int_custom_property("blessed") == 1
    exported = Path(release.uri) / "Format-Serving"
    record = read_record(str(exported))
    assert record is not None
    assert record.accepted_drift == ("baseline",)
    # Once: the next model needs no acceptance, and gets none.
    blessing, _ = run(tmp_path / "2", figures, last)
    assert blessing.get_int_custom_property("blessed") == 0
    # The same export again, which a run without changes judges again.
    pushed = tmp_path / "pushed"
    pushed.mkdir()
    exported.rename(pushed / "7")
    blessing, _ = run(tmp_path / "3", figures, last, pushed=pushed)
    assert blessing.get_int_custom_property("blessed") == 1
