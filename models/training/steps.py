"""Training steps in one compiled call, synchronous on all replicas or asynchronous on workers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from models.columns import Columns
from models.contracts import GradientModel
from models.training.devices import current_task, is_asynchronous
from models.training.optimizers import Gradient, Optimizer

Batches = np.ndarray[Any, np.dtype[np.int32]]
Rates = np.ndarray[Any, np.dtype[np.float32]]
Losses = np.ndarray[Any, np.dtype[np.float32]]

# Pieces of a call for each asynchronous worker: few enough to keep them long, many enough that a
# slow worker gets less to do.
_PIECES_PER_WORKER = 4


class Steps(Protocol):
    """Runs training steps."""

    def run(self, ratings: Columns, batches: Batches, rates: Rates) -> Losses:
        """Takes a step on each batch in turn.

        Args:
            ratings: Features of the ratings, each an array `[n]`.
            batches: Rows of each batch, int32 `[steps, batch]`.
            rates: Learning rate of each step, float32 `[steps]`.

        Returns:
            Loss of each batch before its step, float32 `[steps]`.
        """


def make_steps(
    strategy: tf.distribute.Strategy,
    model: GradientModel,
    optimizer: Optimizer,
    clip_norm: float,
    xla: bool,
) -> Steps:
    """Returns the steps for a strategy.

    Args:
        strategy: Strategy under whose scope the model and the optimizer were created.
        model: Model to train in place.
        optimizer: Optimizer of the model's trainable variables.
        clip_norm: Largest global norm of a gradient; 0 clips nothing.
        xla: Whether XLA compiles the steps; see `can_use_xla`.
    """
    step = _Step(strategy, model, optimizer, clip_norm)
    if is_asynchronous(strategy):
        return _AsynchronousSteps(strategy, step)
    return _SynchronousSteps(strategy, step, xla)


class _Step:
    """One step on one global batch, in the cross-replica context of a strategy."""

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: GradientModel,
        optimizer: Optimizer,
        clip_norm: float,
    ) -> None:
        self._strategy = strategy
        self._model = model
        self._optimizer = optimizer
        self._clip_norm = clip_norm

    def steps(self, columns: Any, share: Any, rates: tf.Tensor) -> tf.Tensor:
        """Takes consecutive steps and returns their losses, `[steps]`.

        Args:
            columns: Part of the batches of each replica, one batch after the other.
            share: Fraction of a batch of each replica.
            rates: Learning rates, `[steps]`, with a static shape.
        """
        losses = tf.zeros_like(rates)
        for step in tf.range(tf.size(rates)):
            loss, gradients = self._strategy.run(
                self._share_of_gradient, args=(columns, share, step, rates.shape[0])
            )
            loss = self._strategy.reduce(tf.distribute.ReduceOp.SUM, loss, axis=None)
            self._optimizer.apply(self._over_replicas(gradients), rates[step])
            losses = tf.tensor_scatter_nd_update(losses, [[step]], [loss])
        return losses

    def _share_of_gradient(
        self, columns: dict[str, tf.Tensor], share: tf.Tensor, step: tf.Tensor, steps: int
    ) -> tuple[tf.Tensor, list[Gradient]]:
        """Returns a replica's part of the loss over the global batch, and its gradients."""
        batch = {}
        for name, values in columns.items():
            size = values.shape[0] // steps
            batch[name] = tf.slice(values, [step * size], [size])
        with tf.GradientTape() as tape:
            loss = share * self._model.compute_loss(batch, training=True)
        return loss, tape.gradient(
            loss, self._optimizer.variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    def _over_replicas(self, gradients: list[Gradient]) -> list[Gradient]:
        """Returns the gradients of the global batch, on every replica."""
        summed = self._strategy.extended.batch_reduce_to(
            tf.distribute.ReduceOp.SUM,
            list(zip(gradients, self._optimizer.variables, strict=True)),
        )
        if not self._clip_norm:
            return list(summed)
        return list(self._strategy.run(self._clip, args=(list(summed),)))

    def _clip(self, gradients: list[Gradient]) -> list[Gradient]:
        norm = tf.sqrt(tf.add_n([_squared_norm(gradient) for gradient in gradients]))
        clipped, _ = tf.clip_by_global_norm(gradients, self._clip_norm, use_norm=norm)
        return list(clipped)


class _SynchronousSteps:
    """Steps in which every replica takes its part of a batch, and all keep equal weights."""

    def __init__(self, strategy: tf.distribute.Strategy, step: _Step, xla: bool) -> None:
        self._strategy = strategy
        self._replicas = strategy.num_replicas_in_sync
        self._steps = tf.function(step.steps, jit_compile=xla)

    def run(self, ratings: Columns, batches: Batches, rates: Rates) -> Losses:
        size = batches.shape[1]

        def part(context: tf.distribute.ReplicaContext) -> slice:
            replica = context.replica_id_in_sync_group
            first = min(replica * size // self._replicas, size - 1)
            # The mean over no rating is NaN: a replica without ratings takes one of another
            # replica, with share 0.
            return slice(first, max((replica + 1) * size // self._replicas, first + 1))

        def columns_of(context: tf.distribute.ReplicaContext) -> dict[str, tf.Tensor]:
            return _gather(ratings, batches[:, part(context)])

        def share_of(context: tf.distribute.ReplicaContext) -> tf.Tensor:
            replica = context.replica_id_in_sync_group
            own = (replica + 1) * size // self._replicas - replica * size // self._replicas
            return tf.constant(own / size, tf.float32)

        distribute = self._strategy.experimental_distribute_values_from_function
        losses: Losses = self._steps(
            distribute(columns_of), distribute(share_of), tf.constant(rates)
        ).numpy()
        return losses


class _AsynchronousSteps:
    """Steps that each worker takes by itself on the variables of the parameter servers."""

    def __init__(self, strategy: tf.distribute.Strategy, step: _Step) -> None:
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        self._steps = tf.function(step.steps)
        self._pieces = current_task().processes["worker"] * _PIECES_PER_WORKER

    def run(self, ratings: Columns, batches: Batches, rates: Rates) -> Losses:
        results = [
            self._coordinator.schedule(
                self._steps,
                args=(_gather(ratings, piece), tf.constant(1.0), tf.constant(piece_rates)),
            )
            for piece, piece_rates in zip(
                np.array_split(batches, self._pieces),
                np.array_split(rates, self._pieces),
                strict=True,
            )
            if len(piece)
        ]
        self._coordinator.join()
        return np.concatenate([result.fetch() for result in results])


def _squared_norm(gradient: Gradient) -> tf.Tensor:
    """Returns the squared norm of a gradient, after repeated rows are summed."""
    if not isinstance(gradient, tf.IndexedSlices):
        return tf.reduce_sum(tf.square(gradient))
    order = tf.argsort(gradient.indices)
    indices = tf.gather(gradient.indices, order)
    # A shard that no rating of the batch uses has no rows at all.
    is_next = indices != tf.concat([indices[:1], indices[:-1]], axis=0)
    summed = tf.math.unsorted_segment_sum(
        tf.gather(gradient.values, order),
        tf.cumsum(tf.cast(is_next, tf.int32)),
        num_segments=tf.size(indices),
    )
    return tf.reduce_sum(tf.square(summed))


def _gather(ratings: Columns, rows: Batches) -> dict[str, tf.Tensor]:
    """Returns rows of every column as tensors, so that the compiled function takes arguments."""
    flat = np.ravel(rows)
    # All rows exist, so nothing is clipped. Without the check NumPy takes a third less time.
    return {
        name: tf.constant(np.take(values, flat, mode="clip")) for name, values in ratings.items()
    }
