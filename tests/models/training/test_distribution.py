"""One training on one device, on several, in several processes: the same weights every time.

What is compared with is the training on one device, which test_loop holds against NumPy.
"""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

from tests.models.training_process import (
    CALLS,
    LOST,
    STOPPED,
    command,
    finish,
    output_of,
    start,
    start_cluster,
)

Trained = dict[str, np.ndarray]


def train(weights: Path, *arguments: object) -> Trained:
    output = output_of(process := start(command(weights, *arguments)))
    assert process.returncode == 0, output
    return dict(np.load(weights))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("alone") / "weights.npz")


def assert_same(trained: Path, expected: Trained) -> None:
    found = dict(np.load(trained))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_on_one_machine(tmp_path: Path, alone: Trained, replicas: int) -> None:
    weights = tmp_path / "weights.npz"
    train(weights, "--replicas", replicas)
    assert_same(weights, alone)


# A loss that is no mean over rows: each is held against the whole batch. A movie without negatives
# has no gradient but rounding, which Adam would make a whole step of.
RETRIEVAL = ("--model", "two_tower", "--optimizer", "sgd")


@pytest.fixture(scope="module")
def retrieval_alone(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("retrieval") / "weights.npz", *RETRIEVAL)


def test_negatives_come_from_the_batches_of_all_replicas(
    tmp_path: Path, retrieval_alone: Trained
) -> None:
    weights = tmp_path / "weights.npz"
    train(weights, *RETRIEVAL, "--replicas", 2)
    assert_same(weights, retrieval_alone)


@pytest.mark.slow
def test_negatives_come_from_the_batches_of_all_workers(
    tmp_path: Path, retrieval_alone: Trained
) -> None:
    weights = tmp_path / "weights.npz"
    ended = finish(start_cluster({"worker": 2}, lambda _: command(weights, *RETRIEVAL)))
    assert {code for code, _ in ended.values()} == {0}, ended
    assert_same(weights, retrieval_alone)


@pytest.mark.parametrize(
    "processes",
    [
        {"worker": 2},
        pytest.param({"worker": 3}, marks=pytest.mark.slow),
        pytest.param({"chief": 1, "worker": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_several_workers(tmp_path: Path, alone: Trained, processes: dict[str, int]) -> None:
    weights = tmp_path / "weights.npz"
    ended = finish(start_cluster(processes, lambda _: command(weights)))
    assert {code for code, _ in ended.values()} == {0}, ended
    assert_same(weights, alone)


@pytest.mark.slow
@pytest.mark.parametrize("after_calls", [1, 8, 29])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("signalled", ["worker-0", "worker-1"])
def test_one_of_two_workers_is_interrupted_and_all_are_started_again(
    tmp_path: Path, alone: Trained, signalled: str, number: int, after_calls: int
) -> None:
    weights, two = tmp_path / "weights.npz", {"worker": 2}
    state = ("--checkpoints", tmp_path / "state")
    told = ("--signal", int(number), "--after-calls", after_calls, "--signalled", signalled)
    ended = finish(start_cluster(two, lambda _: command(weights, *state, *told)))
    code, _ = ended.pop(("worker", int(signalled[-1])))
    ((others_code, others_output),) = ended.values()
    if number == signal.SIGKILL:
        assert code == -number
        assert others_code == LOST, others_output
        assert "another worker was lost; start all workers again" in others_output
    else:
        assert (code, others_code) == (STOPPED, STOPPED), others_output
        assert "all state is saved" in others_output
    assert not weights.exists()

    ended = finish(start_cluster(two, lambda _: command(weights, *state)))
    assert {code for code, _ in ended.values()} == {0}, ended
    # It went on: the calls before the signal were not made again, but for one not yet saved.
    calls = int(np.load(weights)["calls"])
    assert CALLS - after_calls <= calls <= CALLS - after_calls + 1
    assert_same(weights, {**alone, "calls": np.array(calls)})


@pytest.mark.slow
def test_what_two_workers_left_one_can_finish(tmp_path: Path, alone: Trained) -> None:
    weights, state = tmp_path / "weights.npz", ("--checkpoints", tmp_path / "state")
    told = ("--signal", int(signal.SIGTERM), "--after-calls", 8)
    finish(start_cluster({"worker": 2}, lambda _: command(weights, *state, *told)))
    output = output_of(process := start(command(weights, *state)))
    assert process.returncode == 0, output
    assert_same(weights, {**alone, "calls": np.array(CALLS - 8)})


def train_on_parameter_servers(weights: Path, workers: int, servers: int) -> None:
    """Workers and servers do not end by themselves."""
    processes = {"chief": 1, "worker": workers, "ps": servers}
    arguments = command(weights, "--distribution", "parameter_server")
    cluster = start_cluster(processes, lambda _: arguments)
    code, output = finish(cluster, ("chief", 0))["chief", 0]
    assert code == 0, output


@pytest.mark.slow
def test_parameter_servers_with_tables_in_parts(tmp_path: Path, alone: Trained) -> None:
    """One worker overtakes nobody, so that the result is exact."""
    weights = tmp_path / "weights.npz"
    train_on_parameter_servers(weights, workers=1, servers=2)
    assert_same(weights, alone)


@pytest.mark.slow
def test_workers_that_overtake_each_other_still_learn(tmp_path: Path, alone: Trained) -> None:
    weights = tmp_path / "weights.npz"
    train_on_parameter_servers(weights, workers=2, servers=1)
    found = np.load(weights)
    assert found["loss"][-1] < found["loss"][0]
    np.testing.assert_allclose(found["loss"][-1], alone["loss"][-1], rtol=0.05)
