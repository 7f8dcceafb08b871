"""Trainings that are killed, told to stop, or find their state damaged."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.training.checkpoints import TrainingCheckpoints, training_key
from tests.models.training_process import CALLS, ROOT, STOPPED, command, output_of, start


def train(folder: Path, *arguments: object) -> tuple[int | None, str, dict[str, np.ndarray]]:
    weights = folder / "weights.npz"
    process = start(command(weights, "--checkpoints", folder / "state", *arguments))
    output = output_of(process)
    return process.returncode, output, dict(np.load(weights)) if weights.exists() else {}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    code, output, weights = train(tmp_path_factory.mktemp("undisturbed"))
    assert code == 0, output
    assert weights["calls"] == CALLS
    return weights


@pytest.mark.parametrize(
    "after_calls",
    [8, pytest.param(1, marks=pytest.mark.slow), pytest.param(29, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, STOPPED)])
def test_an_interrupted_training_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path: Path, undisturbed: dict[str, np.ndarray], number: int, code: int, after_calls: int
) -> None:
    ended, output, weights = train(tmp_path, "--signal", int(number), "--after-calls", after_calls)
    assert ended == code, output
    assert weights == {}
    if number == signal.SIGTERM:
        assert "all state is saved" in output

    ended, output, weights = train(tmp_path)
    assert ended == 0, output
    # Killed, it lost the call after the last save; told to stop, it lost nothing.
    lost = 1 if number == signal.SIGKILL else 0
    assert weights.pop("calls") == CALLS - after_calls + lost
    for name, values in weights.items():
        np.testing.assert_array_equal(values, undisturbed[name])


def saved(folder: Path, *values: float) -> tf.Variable:
    """A variable that was saved with each of the values in turn."""
    variable = tf.Variable(0.0)
    checkpoints = TrainingCheckpoints(str(folder), [variable])
    for value in values:
        variable.assign(value)
        checkpoints.save({"value": value})
    variable.assign(-1.0)
    return variable


def test_the_newest_state_is_restored(tmp_path: Path) -> None:
    variable = saved(tmp_path, 1.0, 2.0, 3.0)
    assert TrainingCheckpoints(str(tmp_path), [variable]).restore() == {"value": 3.0}
    assert variable.numpy() == 3.0


def test_without_a_checkpoint_nothing_is_touched(tmp_path: Path) -> None:
    variable = tf.Variable(7.0)
    assert TrainingCheckpoints(str(tmp_path), [variable]).restore() is None
    assert variable.numpy() == 7.0


@pytest.mark.parametrize("suffix", [".data-00000-of-00001", ".index"])
def test_of_a_truncated_checkpoint_the_one_before_is_taken_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    variable = saved(tmp_path, 1.0, 2.0)
    newest = tmp_path / f"ckpt-2{suffix}"
    newest.write_bytes(newest.read_bytes()[:3])
    with caplog.at_level(logging.WARNING):
        assert TrainingCheckpoints(str(tmp_path), [variable]).restore() == {"value": 1.0}
    assert variable.numpy() == 1.0
    assert "ckpt-2 is not readable" in caplog.text


def test_with_no_readable_checkpoint_training_begins_anew(tmp_path: Path) -> None:
    variable = saved(tmp_path, 1.0, 2.0)
    for path in tmp_path.glob("ckpt-*"):
        path.write_bytes(b"")
    variable.assign(5.0)
    assert TrainingCheckpoints(str(tmp_path), [variable]).restore() is None
    assert variable.numpy() == 5.0


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """The limit on file sizes makes the write fail as a full disk does."""
    code = (
        "import resource, sys, tensorflow as tf\n"
        "from models.training.checkpoints import TrainingCheckpoints\n"
        "table = tf.Variable(tf.ones([50_000]))\n"
        "checkpoints = TrainingCheckpoints(sys.argv[1], [table])\n"
        "checkpoints.save({'value': 1})\n"
        "table.assign(table * 2)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    checkpoints.save({'value': 2})\n"
        "except tf.errors.OpError as error:\n"
        "    sys.exit(7)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 7
    table = tf.Variable(tf.zeros([50_000]))
    assert TrainingCheckpoints(str(tmp_path), [table]).restore() == {"value": 1}
    assert (table.numpy() == 1).all()


def test_a_key_belongs_to_settings_and_data() -> None:
    data = {"user_index": np.arange(4, dtype=np.int32), "rating": np.ones(4, np.float32)}
    other = {**data, "rating": np.array([1, 1, 1, 2], np.float32)}
    keys = {
        training_key({"seed": 1}, data),
        training_key({"seed": 2}, data),
        training_key({"seed": 1}, other),
        training_key({"seed": 1}, data, data),
    }
    assert len(keys) == 4
    assert training_key({"a": 1, "b": 2}, data) == training_key({"b": 2, "a": 1}, dict(data))
