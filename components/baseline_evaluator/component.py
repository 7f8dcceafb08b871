"""The BaselineEvaluator component."""

from tfx.components.evaluator.component import Evaluator
from tfx.dsl.components.base import executor_spec

from components.baseline_evaluator import executor


class BaselineEvaluator(Evaluator):
    """TFX's Evaluator, for which a baseline without an exported model is none."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
