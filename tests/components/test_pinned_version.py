"""What a run may push while a version is pinned, by the step itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components import atomic_pusher, push_folder
from models.export.saved_model import write_comparison_group
from serving.version_pin import Pin
from tests.components import answering_models
from tests.components.answering_models import expected_rating

ROWS = [(b"a", b"m0"), (b"bb", b"m1"), (b"ccc", b"m2")]
GROUP = "the same"


def model(folder: Path, bias: float, group: str = GROUP) -> standard_artifacts.Model:
    """One whose every rating is off by `bias`, which is then its RMSE."""

    def biased(name: str, outputs: answering_models.Outputs) -> answering_models.Outputs:
        return {**outputs, "rating": outputs["rating"] + bias} if name == "predict" else outputs

    artifact = standard_artifacts.Model()
    artifact.uri = str(folder)
    exported = answering_models.save(folder / "Format-Serving", biased)
    write_comparison_group(str(exported), group)
    return artifact


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, standard_artifacts.Model]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "good": model(folder / "good", 0.25),
        "equal": model(folder / "equal", 0.25),
        "bad": model(folder / "bad", 0.5),
        "best": model(folder / "best", 0.125),
        "of another split": model(folder / "other", 0.125, "another"),
    }


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> standard_artifacts.Examples:
    """A holdout whose ratings a model without a bias predicts."""
    artifact = standard_artifacts.Examples()
    artifact.uri = str(tmp_path_factory.mktemp("examples"))
    split = Path(artifact.uri, "Split-holdout")
    split.mkdir()
    with tf.io.TFRecordWriter(str(split / "data.gz"), "GZIP") as writer:
        for user_id, movie_id in ROWS:
            feature = {
                "user_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[user_id])),
                "movie_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[movie_id])),
                "rating": tf.train.Feature(
                    float_list=tf.train.FloatList(value=[expected_rating(user_id, movie_id)])
                ),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    return artifact


class Pushes:
    def __init__(self, folder: Path, examples: standard_artifacts.Examples) -> None:
        self.serving = folder / "serving"
        self._artifacts = folder / "artifacts"
        self._examples = examples

    def push(self, model: standard_artifacts.Model) -> tuple[str, str]:
        """The version that the artifact names, and the verdict."""
        blessings = standard_artifacts.ModelBlessing(), standard_artifacts.InfraBlessing()
        for blessing in blessings:
            blessing.set_int_custom_property("blessed", 1)
        pushed = standard_artifacts.PushedModel()
        number = len(list(self._artifacts.glob("*")))
        pushed.uri = str(self._artifacts / str(number))
        Path(pushed.uri).mkdir(parents=True)
        atomic_pusher.Executor().Do(
            {
                "model": [model],
                "model_blessing": [blessings[0]],
                "infra_blessing": [blessings[1]],
                "examples": [self._examples],
            },
            {"pushed_model": [pushed]},
            {
                "push_destination": f'{{"filesystem": {{"base_directory": "{self.serving}"}}}}',
                "liked_rating": 4.0,
            },
        )
        return (
            pushed.get_string_custom_property("pushed_version"),
            pushed.get_string_custom_property("pin_verdict"),
        )

    def versions(self) -> list[str]:
        return sorted(entry.name for entry in self.serving.iterdir() if entry.is_dir())

    def roll_back(self, to: str, rejected: str) -> Pin:
        pin = Pin(
            version=int(to),
            rejected={int(rejected): push_folder.digest(str(self.serving / rejected))},
            changes=(push_folder.change("rollback", int(to), int(rejected), "complaints"),),
        )
        push_folder.write_pin(str(self.serving), pin)
        return pin


@pytest.fixture
def pushes(tmp_path: Path, examples: standard_artifacts.Examples) -> Pushes:
    return Pushes(tmp_path, examples)


@pytest.fixture
def rolled_back(pushes: Pushes, models: dict[str, standard_artifacts.Model]) -> tuple[str, str]:
    """The versions of the good model, which is pinned, and of the bad one."""
    good, _ = pushes.push(models["good"])
    bad, _ = pushes.push(models["bad"])
    pushes.roll_back(good, bad)
    return good, bad


def test_what_was_rolled_back_is_not_pushed_again(
    pushes: Pushes, models: dict[str, standard_artifacts.Model], rolled_back: tuple[str, str]
) -> None:
    good, bad = rolled_back
    before = push_folder.read_pin(str(pushes.serving))
    version, verdict = pushes.push(models["bad"])
    assert version == ""
    assert f"version {bad}, which was rolled back" in verdict
    assert pushes.versions() == [good, bad]
    assert push_folder.read_pin(str(pushes.serving)) == before


def test_not_even_after_the_rollback_is_over_or_its_folder_is_gone(
    pushes: Pushes, models: dict[str, standard_artifacts.Model], rolled_back: tuple[str, str]
) -> None:
    _, bad = rolled_back
    pushes.push(models["best"])
    (pushes.serving / bad).rename(pushes.serving / "elsewhere")
    assert pushes.push(models["bad"])[0] == ""


def test_the_pinned_model_itself_is_the_version_that_there_is(
    pushes: Pushes, models: dict[str, standard_artifacts.Model], rolled_back: tuple[str, str]
) -> None:
    assert pushes.push(models["good"]) == (rolled_back[0], "")
    assert pushes.versions() == list(rolled_back)


def test_a_pinned_version_may_have_leading_zeros(
    pushes: Pushes, models: dict[str, standard_artifacts.Model], rolled_back: tuple[str, str]
) -> None:
    good, _ = rolled_back
    (pushes.serving / good).rename(pushes.serving / f"00{good}")
    assert pushes.push(models["good"]) == (f"00{good}", "")
    version, verdict = pushes.push(models["equal"])
    assert version == ""
    assert f"0.250000 of version {good}" in verdict


@pytest.mark.parametrize("name", ["equal", "of another split"])
def test_a_model_that_is_not_better_replaces_nothing(
    pushes: Pushes,
    models: dict[str, standard_artifacts.Model],
    rolled_back: tuple[str, str],
    name: str,
) -> None:
    version, verdict = pushes.push(models[name])
    assert version == ""
    assert f"version {rolled_back[0]}" in verdict
    assert pushes.versions() == list(rolled_back)
    if name == "equal":
        assert "RMSE of 0.250000 on the holdout against 0.250000" in verdict
        assert "complaints" in verdict


def test_a_better_model_is_pushed_and_lifts_the_pin(
    pushes: Pushes, models: dict[str, standard_artifacts.Model], rolled_back: tuple[str, str]
) -> None:
    good, bad = rolled_back
    version, verdict = pushes.push(models["best"])
    assert pushes.versions() == [good, bad, version]
    assert "RMSE of 0.125000 on the holdout against 0.250000" in verdict
    pin = push_folder.read_pin(str(pushes.serving))
    assert pin.version is None
    assert set(pin.rejected) == {int(bad)}
    assert [(made.action, made.version, made.replaced) for made in pin.changes] == [
        ("rollback", int(good), int(bad)),
        ("push", int(version), int(good)),
    ]


def test_a_push_that_was_killed_before_it_lifted_the_pin_is_finished(
    pushes: Pushes, models: dict[str, standard_artifacts.Model], rolled_back: tuple[str, str]
) -> None:
    pinned = push_folder.read_pin(str(pushes.serving))
    version, _ = pushes.push(models["best"])
    push_folder.write_pin(str(pushes.serving), pinned)
    assert pushes.push(models["best"])[0] == version
    assert push_folder.read_pin(str(pushes.serving)).version is None


def test_a_pin_that_cannot_be_written_leaves_the_one_before(
    pushes: Pushes, rolled_back: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk."""
    before = sorted(pushes.serving.iterdir())
    pin = push_folder.read_pin(str(pushes.serving))

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            push_folder.write_pin(str(pushes.serving), Pin())
    assert sorted(pushes.serving.iterdir()) == before
    assert push_folder.read_pin(str(pushes.serving)) == pin


def test_what_a_killed_rollback_leaves_is_removed_by_the_next_push(
    pushes: Pushes,
    models: dict[str, standard_artifacts.Model],
    rolled_back: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        # The process ends before the file has its name.
        patch.setattr(push_folder, "rename", lambda *_: None)
        push_folder.write_pin(str(pushes.serving), Pin())
    (left,) = (entry for entry in pushes.serving.iterdir() if entry.name.startswith("."))
    assert left.is_file()
    pushes.push(models["equal"])
    assert not left.exists()


def test_the_baseline_in_a_cluster_is_no_version_that_was_rolled_back(
    pushes: Pushes, rolled_back: tuple[str, str]
) -> None:
    found = [Path(path).name for path in push_folder.newest_first(str(pushes.serving))]
    assert found == [rolled_back[0]]


def test_the_ratings_of_the_fixture_are_exact() -> None:
    """A bias is then the RMSE to the last digit."""
    values = np.array([expected_rating(*row) for row in ROWS], np.float32)
    assert np.array_equal(values * 8, np.round(values * 8))
