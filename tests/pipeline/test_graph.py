"""What waits for what in the graph, and in which order the runner takes it."""

from __future__ import annotations

import pytest
from tfx.orchestration.pipeline import Pipeline

from pipeline import graph
from pipeline.config.tree import load_config
from pipeline.dag_runner import StepOrder

CHECKS = {graph.EXAMPLE_VALIDATOR, graph.DRIFT_VALIDATOR}
LEARNING = {graph.BASELINES, graph.TUNER, graph.TRAINER}


def pipeline(in_cluster: bool) -> Pipeline:
    config = load_config(None, ["tuning.enabled=true"])
    locations = graph.Locations("data", "artifacts", "checkpoints", "serving")
    return graph.create_pipeline(config, locations, in_cluster)


def needed(made: Pipeline) -> dict[str, set[str]]:
    """The ids of the steps that each waits for itself."""
    return {one.id: {before.id for before in one.upstream_nodes} for one in made.components}


def everything_before(steps: dict[str, set[str]], name: str) -> set[str]:
    return steps[name].union(*(everything_before(steps, one) for one in steps[name]))


@pytest.mark.parametrize("in_cluster", [False, True])
def test_nothing_is_learnt_before_the_data_has_passed_its_checks(in_cluster: bool) -> None:
    steps = needed(pipeline(in_cluster))
    for name in LEARNING:
        assert everything_before(steps, name) >= CHECKS
    assert graph.STATISTICS_GEN not in everything_before(steps, graph.TRANSFORM)


def test_one_job_takes_the_checks_before_longer_work() -> None:
    order = StepOrder(needed(pipeline(in_cluster=False)))
    taken = []
    while (name := order.start_next()) is not None:
        taken.append(name)
        order.finish(name)
    assert set(taken) == set(needed(pipeline(in_cluster=False)))
    assert taken.index(graph.DRIFT_VALIDATOR) < taken.index(graph.TRANSFORM)
    assert taken.index(graph.TRANSFORM) < taken.index(graph.TRAINER)


def test_a_step_starts_when_all_that_it_needs_has_finished() -> None:
    order = StepOrder({"a": [], "b": [], "deep": ["a"], "last": ["deep", "b"]})
    assert [order.start_next(), order.start_next(), order.start_next()] == ["a", "b", None]
    order.finish("a")
    assert [order.start_next(), order.start_next()] == ["deep", None]
    order.finish("deep")
    assert order.start_next() is None
    order.finish("b")
    assert order.start_next() == "last"
    order.finish("last")
    assert order.start_next() is None
