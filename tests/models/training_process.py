"""A training in a process of its own, alone or as one of several.

    python -m tests.models.training_process OUT.npz [--checkpoints DIR] [--replicas N] ...

With TF_CONFIG in the environment it is one of the workers that it names. Writes the weights, the
losses and the eval figure of each epoch; the chief alone where there are several processes. It can
be told to send itself a signal after a number of calls of the compiled function.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.errors import ClusterError, TrainingStoppedError
from models.options import ModelOptions, TrainingOptions
from models.training import devices, loop, updates
from models.training.metrics import criterion_for
from models.training.progress import Progress
from tests.forked import Forked
from tests.models.factories import ratings, statistics, trained_like

ROOT = Path(__file__).parents[2]
TABLES = {
    "biased_mf": ("user_bias", "movie_bias", "user_embedding", "movie_embedding"),
    "two_tower": ("user_embedding", "movie_embedding", "movie_bias"),
}

# 146 ratings in batches of 16, two to a call: four calls of two, one of one, one of the two ratings
# that are left, of which there are fewer than four replicas; five epochs.
RATINGS, BATCH, RATINGS_PER_CALL, EPOCHS, CALLS = 146, 16, 32, 5, 30

STOPPED, LOST = 3, 4


Task = tuple[str, int]


def command(weights: Path, *arguments: object) -> list[str]:
    """The command of a training."""
    module = "tests.models.training_process"
    return [sys.executable, "-m", module, str(weights), *map(str, arguments)]


def start(command: list[str], tf_config: str = "{}") -> Forked:
    """Starts a process."""
    _, flag, module, *arguments = command
    assert flag == "-m"
    return Forked(module, arguments, {**os.environ, "TF_CONFIG": tf_config})


def output_of(process: Forked) -> str:
    """What a process has printed until its end."""
    return "".join(process.communicate())


def start_cluster(
    processes: dict[str, int], command_of: Callable[[str], list[str]]
) -> dict[Task, Forked]:
    """Starts a process for each task of a cluster on loopback; a task is named as `worker-1`."""
    addresses = iter(_free_addresses(sum(processes.values())))
    cluster = {kind: [next(addresses) for _ in range(count)] for kind, count in processes.items()}
    return {
        (kind, index): start(
            command_of(f"{kind}-{index}"),
            json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}),
        )
        for kind, count in processes.items()
        for index in range(count)
    }


def finish(processes: dict[Task, Forked], *awaited: Task) -> dict[Task, tuple[int, str]]:
    """Exit code and output of the awaited processes, of all if none is named; ends the others."""
    try:
        outputs = {task: output_of(processes[task]) for task in awaited or processes}
        return {task: (processes[task].returncode, output) for task, output in outputs.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def _free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return [f"127.0.0.1:{port}" for port in ports]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("--model", default="biased_mf", choices=TABLES)
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--checkpoints")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--distribution", default="synchronous")
    parser.add_argument("--signal", type=int)
    parser.add_argument("--after-calls", type=int)
    parser.add_argument("--signalled", default="worker-0", help="the task that gets the signal")
    arguments = parser.parse_args()

    # Several calls an epoch, so that it can be interrupted within one.
    updates.RATINGS_PER_CALL = RATINGS_PER_CALL
    # Small tables too are to be spread over the parameter servers.
    devices.SMALLEST_SHARD = 1
    options = TrainingOptions(
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=0.1,
        optimizer=arguments.optimizer,
        clip_norm=0.5,
        patience=EPOCHS,
        checkpoint_seconds=0,
        distribution=arguments.distribution,
    )
    task = devices.current_task()
    if devices.serves_others(options, task):
        devices.serve_others()
    if arguments.replicas == 1:
        strategy = devices.choose_strategy(options, task)
    else:
        strategy = tf.distribute.MirroredStrategy(logical_cpus(arguments.replicas))

    calls = 0

    def report(progress: Progress) -> None:
        nonlocal calls
        calls += 1
        if f"{task.kind}-{task.index}" == arguments.signalled and calls == arguments.after_calls:
            os.kill(os.getpid(), arguments.signal)

    rng = np.random.default_rng(5)
    initial = trained_like(arguments.model, rng)
    columns, evaluation = ratings(rng, RATINGS), ratings(rng, 31)
    tables = TABLES[arguments.model]
    with strategy.scope():
        model = trained_like(arguments.model, rng)
        for name in tables:
            getattr(model, name).assign(getattr(initial, name).numpy())
    criterion = criterion_for(ModelOptions(name=arguments.model), options, statistics())
    training = loop.TrainingLoop(model, options, arguments.checkpoints, report, strategy, criterion)
    try:
        history = training.train(columns, evaluation)
    except TrainingStoppedError as stopped:
        print(stopped)
        sys.exit(STOPPED)
    except ClusterError as lost:
        print(lost)
        sys.exit(LOST)
    if task.is_chief:
        np.savez(
            arguments.weights,
            calls=calls,
            loss=np.array([result.loss for result in history]),
            eval_figure=np.array([result.eval_figure for result in history]),
            **{name: tf.convert_to_tensor(getattr(model, name)).numpy() for name in tables},
        )


def logical_cpus(count: int) -> list[str]:
    """One CPU, taken for several devices."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(cpu, parts)
    return [device.name for device in tf.config.list_logical_devices("CPU")]


if __name__ == "__main__":
    main()
