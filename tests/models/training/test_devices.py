import json

import numpy as np
import pytest
import tensorflow as tf

from models.errors import ClusterError
from models.options import TrainingOptions
from models.training import devices


def tf_config(kind: str, index: int, **processes: int) -> str:
    cluster = {name: [f"host{i}:1" for i in range(count)] for name, count in processes.items()}
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize("text", ["", "{}", '{"task": {"type": "worker", "index": 0}}'])
def test_without_a_cluster_a_process_is_alone(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    task = devices.current_task()
    assert task.is_chief
    assert task.place == (0, 1)
    assert devices.choose_strategy(TrainingOptions(), task) is tf.distribute.get_strategy()


@pytest.mark.parametrize(
    ("text", "place", "is_chief"),
    [
        (tf_config("worker", 0, worker=2), (0, 2), True),
        (tf_config("worker", 1, worker=2), (1, 2), False),
        (tf_config("chief", 0, chief=1, worker=2), (0, 3), True),
        (tf_config("worker", 0, chief=1, worker=2), (1, 3), False),
        (tf_config("worker", 1, chief=1, worker=2), (2, 3), False),
    ],
)
def test_a_task_knows_its_place(
    monkeypatch: pytest.MonkeyPatch, text: str, place: tuple[int, int], is_chief: bool
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    task = devices.current_task()
    assert (task.place, task.is_chief) == (place, is_chief)


@pytest.mark.parametrize(
    "text",
    [
        "worker",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "first"}}',
        '{"cluster": 3, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_what_is_no_cluster_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ClusterError, match=r"^TF_CONFIG .*host1:2222"):
        devices.current_task()


def test_a_task_outside_its_cluster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config("worker", 2, worker=2))
    with pytest.raises(ClusterError, match=r"worker 2.*\{'worker': 2\}"):
        devices.current_task()


def test_parameter_servers_must_be_in_the_cluster() -> None:
    options = TrainingOptions(distribution="parameter_server")
    with pytest.raises(ClusterError, match=r"parameter_server.* TF_CONFIG.* worker$"):
        devices.choose_strategy(options, devices.ALONE)


@pytest.mark.parametrize("kind", ["worker", "ps"])
def test_only_the_chief_of_parameter_servers_runs_the_training(kind: str) -> None:
    options = TrainingOptions(distribution="parameter_server")
    cluster = {"chief": 1, "worker": 1, "ps": 1}
    assert devices.serves_others(options, devices.Task(kind, 0, cluster))
    assert not devices.serves_others(options, devices.Task("chief", 0, cluster))
    assert not devices.serves_others(TrainingOptions(), devices.Task("worker", 1, {"worker": 2}))


def test_the_parts_of_a_table_are_joined(rng: np.random.Generator) -> None:
    table, bias = rng.random((7, 3)).astype(np.float32), np.float32(0.5)
    parts = [tf.Variable(part) for part in (table[:3], table[3:5], table[5:])]
    targets = [tf.Variable(tf.zeros([7, 3])), tf.Variable(0.0)]
    devices.copy_weights([*parts, tf.Variable(bias)], targets)
    np.testing.assert_array_equal(targets[0].numpy(), table)
    assert targets[1].numpy() == bias
