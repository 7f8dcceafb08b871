"""Which devices train together, and what their processes tell each other."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import tensorflow as tf

from models.errors import ClusterError
from models.options import TrainingOptions

_TF_CONFIG = "TF_CONFIG"
_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)

# Below this many bytes a table stays whole: every lookup would visit each server for little.
_SMALLEST_SHARD = 1 << 20


@dataclass(frozen=True)
class Task:
    """The part of this process in a cluster.

    Attributes:
        kind: `chief`, `worker` or `ps`.
        index: counts from 0 in each kind.
        processes: how many of each kind the cluster has.
    """

    kind: str
    index: int
    processes: dict[str, int]

    @property
    def place(self) -> tuple[int, int]:
        """Which of the processes that train this is, from 0, and how many there are."""
        chiefs = self.processes.get("chief", 0)
        first = 0 if self.kind == "chief" else chiefs
        return first + self.index, chiefs + self.processes.get("worker", 0)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what all have made."""
        if "chief" in self.processes:
            return self.kind == "chief"
        return self.kind == "worker" and self.index == 0


ALONE = Task("worker", 0, {"worker": 1})


def current_task() -> Task:
    """What the environment variable TF_CONFIG says of this process; `ALONE` without it.

    Raises:
        ClusterError: TF_CONFIG is not what TensorFlow's guide to distributed training describes.
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
        raise ClusterError(f"TF_CONFIG is {text!r}: expected something like {_EXAMPLE}") from error
    if task.index not in range(cluster.get(task.kind, 0)):
        raise ClusterError(f"TF_CONFIG names task {task.kind} {task.index}, its cluster {cluster}")
    return task


def choose_strategy(options: TrainingOptions, task: Task) -> tf.distribute.Strategy:
    """One device, all GPUs of this machine, all workers, or parameter servers.

    Must be called before anything else runs in TensorFlow where there are several workers.

    Raises:
        ClusterError: parameter servers are asked for and the cluster has none.
    """
    if options.distribution == "parameter_server":
        return _parameter_server_strategy(task)
    if task.place[1] > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def serves_others(options: TrainingOptions, task: Task) -> bool:
    """Whether this process only does what the chief of a parameter server cluster asks of it."""
    return options.distribution == "parameter_server" and not task.is_chief


def serve_others() -> None:
    """Holds variables or runs steps for the chief, until the process is ended."""
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
            "training.distribution is parameter_server: TF_CONFIG must name a chief, workers and "
            f"ps; it has {', '.join(task.processes)}"
        )
    return tf.distribute.ParameterServerStrategy(
        tf.distribute.cluster_resolver.TFConfigClusterResolver(),
        variable_partitioner=tf.distribute.experimental.partitioners.MinSizePartitioner(
            min_shard_bytes=_SMALLEST_SHARD, max_shards=task.processes["ps"]
        ),
    )


def variable_like(strategy: tf.distribute.Strategy, variable: tf.Variable) -> tf.Variable:
    """An untrained variable of zeros, on the devices where another one is."""
    with strategy.scope(), strategy.extended.colocate_vars_with(variable):
        return tf.Variable(tf.zeros_like(variable), trainable=False)


def copy_weights(sources: Sequence[tf.Variable], targets: Sequence[tf.Variable]) -> None:
    """Assigns the variables of a model under any strategy to those of one under none.

    Args:
        sources: a table that lies in parts on parameter servers is here as its parts.
        targets: whole, in the same order.
    """
    remaining = iter(sources)
    for target in targets:
        parts = [next(remaining).read_value()]
        while target.shape.rank and sum(len(part) for part in parts) < target.shape[0]:
            parts.append(next(remaining).read_value())
        target.assign(tf.concat(parts, axis=0) if len(parts) > 1 else parts[0])


def is_asynchronous(strategy: tf.distribute.Strategy) -> bool:
    """Whether workers train on their own, with the variables on parameter servers."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def can_use_xla(strategy: tf.distribute.Strategy) -> bool:
    """Whether a whole step can be compiled: nothing in it leaves the device."""
    return not is_asynchronous(strategy) and strategy.num_replicas_in_sync == 1


class Processes:
    """The processes of a synchronous training, which must take the same decisions.

    Every method that asks the others must be called by all of them at the same point.

    Attributes:
        is_chief: whether this process writes what all have made.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Compiles the one operation by which they ask each other."""
        task = current_task()
        self.is_chief = task.is_chief
        self._strategy = strategy
        self._asks_others = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._index, self._count = task.place if self._asks_others else (0, 1)
        self._total = tf.function(
            lambda values: strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
        )

    def part_of(self, rows: int) -> slice:
        """The rows that are this process's to work on."""
        return slice(rows * self._index // self._count, rows * (self._index + 1) // self._count)

    def sum(self, value: float) -> float:
        """The sum of what each process gives, in float64; asks the others."""
        if not self._asks_others:
            return value
        given = iter([value])
        # A process with several replicas gives its value once.
        shares = self._strategy.experimental_distribute_values_from_function(
            lambda _: tf.constant(next(given, 0.0), tf.float64)
        )
        return float(self._total(shares))

    def any(self, flag: bool) -> bool:
        """Whether at least one process set the flag; asks the others."""
        return self.sum(float(flag)) > 0

    def wait_for_all(self) -> None:
        """Returns when every process has come here; asks the others."""
        self.sum(0.0)

    @contextmanager
    def explain_losses(self) -> Iterator[None]:
        """Says in one line that another process was lost, where TensorFlow says it in many.

        Raises:
            ClusterError: a process of this training cannot be reached any more.
        """
        try:
            yield
        except (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.InternalError,
        ) as error:
            if not (self._asks_others or is_asynchronous(self._strategy)):
                raise
            raise ClusterError(
                "another worker was lost; start all workers again, they go on from the last state "
                f"that the chief saved ({error.message.splitlines()[0]})"
            ) from error
