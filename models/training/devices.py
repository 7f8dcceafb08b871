"""Devices and processes that train together: strategies, tasks of a cluster, agreement."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import tensorflow as tf

from models.errors import ClusterError
from models.options import ModelOptions, TrainingOptions

_TF_CONFIG = "TF_CONFIG"
_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)

# Bytes below which a table stays whole, so that a lookup in it asks one server only.
SMALLEST_SHARD = 1 << 20


@dataclass(frozen=True)
class Task:
    """The task of this process in a cluster.

    Attributes:
        kind: `chief`, `worker` or `ps`.
        index: Number of the task among those of its kind, from 0.
        processes: Number of processes in the cluster, by kind.
    """

    kind: str
    index: int
    processes: dict[str, int]

    @property
    def place(self) -> tuple[int, int]:
        """Index of this process among those that train, from 0, and their number."""
        chiefs = self.processes.get("chief", 0)
        first = 0 if self.kind == "chief" else chiefs
        return first + self.index, chiefs + self.processes.get("worker", 0)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the results of all."""
        if "chief" in self.processes:
            return self.kind == "chief"
        return self.kind == "worker" and self.index == 0


ALONE = Task("worker", 0, {"worker": 1})


def current_task() -> Task:
    """Returns the task that the environment variable TF_CONFIG describes, by default `ALONE`.

    Raises:
        ClusterError: TF_CONFIG does not have the format of TensorFlow's guide to distributed
            training.
    """
    text = os.environ.get(_TF_CONFIG, "")
    if not text:
        return ALONE
    try:
        config = json.loads(text)
        cluster = {kind: len(addresses) for kind, addresses in config.get("cluster", {}).items()}
        if not cluster:
            return ALONE
        task = Task(str(config["task"]["type"]), int(config["task"]["index"]), cluster)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClusterError(f"TF_CONFIG is {text!r}: expected for instance {_EXAMPLE}") from error
    if task.index not in range(cluster.get(task.kind, 0)):
        raise ClusterError(
            f"TF_CONFIG has task {task.kind} {task.index}, which its cluster {cluster} lacks"
        )
    return task


def choose_strategy(options: TrainingOptions, task: Task) -> tf.distribute.Strategy:
    """Returns a strategy for one device, all GPUs here, all workers, or parameter servers.

    With several workers, call it before TensorFlow runs anything else.

    Args:
        options: Options of the training.
        task: Task of this process.

    Raises:
        ClusterError: The options ask for parameter servers and the cluster has none.
    """
    if options.distribution == "parameter_server":
        return _parameter_server_strategy(task)
    if task.place[1] > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def serves_others(options: TrainingOptions, task: Task) -> bool:
    """Returns whether this process only serves the chief of a parameter server cluster."""
    return options.distribution == "parameter_server" and not task.is_chief


def serve_others() -> None:
    """Holds variables or runs steps for the chief, until the process is killed."""
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    tf.distribute.Server(
        resolver.cluster_spec(),
        job_name=resolver.task_type,
        task_index=resolver.task_id,
        protocol="grpc",
        start=True,
    ).join()


def _parameter_server_strategy(task: Task) -> tf.distribute.Strategy:
    if not {"chief", "worker", "ps"} <= task.processes.keys():
        raise ClusterError(
            "training.distribution is parameter_server, which needs a chief, workers and ps in "
            f"TF_CONFIG; it has {', '.join(task.processes)}"
        )
    return tf.distribute.ParameterServerStrategy(
        tf.distribute.cluster_resolver.TFConfigClusterResolver(),
        variable_partitioner=tf.distribute.experimental.partitioners.MinSizePartitioner(
            min_shard_bytes=SMALLEST_SHARD, max_shards=task.processes["ps"]
        ),
    )


def scope(
    strategy: tf.distribute.Strategy, options: ModelOptions
) -> AbstractContextManager[object]:
    """Returns the scope in which a model to train is created.

    A model with updates of its own is computed whole on one device of each process.

    Args:
        strategy: Strategy of the training.
        options: Options of the model.
    """
    context: AbstractContextManager[object] = (
        strategy.scope() if options.trains_by_gradients else nullcontext()
    )
    return context


def variable_like(strategy: tf.distribute.Strategy, variable: tf.Variable) -> tf.Variable:
    """Returns a non-trainable variable of zeros, on the devices of another variable."""
    with strategy.scope(), strategy.extended.colocate_vars_with(variable):
        return tf.Variable(tf.zeros_like(variable), trainable=False)


def copy_weights(sources: Sequence[tf.Variable], targets: Sequence[tf.Variable]) -> None:
    """Copies the variables of a model under any strategy to a model on one device.

    Args:
        sources: Variables to copy. A table that is sharded over parameter servers appears as its
            shards, one after the other.
        targets: Variables to assign, whole and in the same order.
    """
    remaining = iter(sources)
    for target in targets:
        parts = [next(remaining).read_value()]
        while target.shape.rank and sum(len(part) for part in parts) < target.shape[0]:
            parts.append(next(remaining).read_value())
        target.assign(tf.concat(parts, axis=0) if len(parts) > 1 else parts[0])


def is_asynchronous(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether workers train independently, with the variables on parameter servers."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def can_use_xla(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether XLA can compile a whole step: nothing in it leaves the device."""
    return not is_asynchronous(strategy) and strategy.num_replicas_in_sync == 1


class Processes:
    """The processes of a synchronous training, which must take the same decisions.

    All processes must call `sum`, `any` and `wait_for_all` at the same points.

    Attributes:
        is_chief: Whether this process writes the results of all.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Prepares the collective operation of these processes.

        Args:
            strategy: Strategy of the training.
        """
        task = current_task()
        self.is_chief = task.is_chief
        self._strategy = strategy
        self._has_others = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._index, self._count = task.place if self._has_others else (0, 1)
        self._total = tf.function(
            lambda values: strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
        )

    def part_of(self, rows: int) -> slice:
        """Returns this process's part of a number of rows."""
        return slice(rows * self._index // self._count, rows * (self._index + 1) // self._count)

    def sum(self, value: float) -> float:
        """Returns the sum of the values of all processes, in float64."""
        if not self._has_others:
            return value
        own = iter([value])
        # A process with several replicas contributes its value once.
        shares = self._strategy.experimental_distribute_values_from_function(
            lambda _: tf.constant(next(own, 0.0), tf.float64)
        )
        return float(self._total(shares))

    def any(self, flag: bool) -> bool:
        """Returns whether at least one process passes True."""
        return self.sum(float(flag)) > 0

    def wait_for_all(self) -> None:
        """Returns when every process has called this."""
        self.sum(0.0)

    @contextmanager
    def explain_losses(self) -> Iterator[None]:
        """Turns TensorFlow's errors about a lost process into one line.

        Raises:
            ClusterError: Another process of this training is no longer reachable.
        """
        try:
            yield
        except (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.InternalError,
        ) as error:
            if not (self._has_others or is_asynchronous(self._strategy)):
                raise
            raise ClusterError(
                "another worker was lost; start all workers again to resume from the last state "
                f"that the chief saved ({error.message.splitlines()[0]})"
            ) from error
