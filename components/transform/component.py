"""The Transform step, for work that Beam spreads and for work in one process."""

from __future__ import annotations

from typing import Any

from tfx.components.transform.component import Transform
from tfx.dsl.components.base import executor_spec

from components.transform.executor import Executor, StreamingExecutor


class ShardTransform(Transform):
    """TFX's Transform for gzipped TFRecords of tf.Example, all splits of one artifact."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


class StreamingTransform(ShardTransform):
    """`ShardTransform` for a step that does its work in its own process.

    There, most of Beam's time goes into its own stages, not into the data.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(StreamingExecutor)


def make_transform(in_one_process: bool, **arguments: Any) -> ShardTransform:
    """Returns the step that analyses and transforms the ratings.

    Args:
        in_one_process: Whether Beam would do all of its work in the step's own process.
        **arguments: Arguments of TFX's Transform.
    """
    return (StreamingTransform if in_one_process else ShardTransform)(**arguments)
