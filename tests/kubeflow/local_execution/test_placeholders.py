import json
from typing import Any

import pytest

from kubeflow.local_execution import placeholders
from pipeline.config.errors import UserError

# An ExecutorInput of schema 2.1, as its proto has it in JSON.
MESSAGE = {
    "inputs": {
        "parameterValues": {"name": 'with "quotes"', "epochs": 5},
        "artifacts": {
            "model": {
                "artifacts": [{"name": "r/t/model", "uri": "/a/model", "metadata": {"size": 3}}]
            }
        },
    },
    "outputs": {
        "parameters": {"count": {"outputFile": "/b/parameters/count"}},
        "artifacts": {"best": {"artifacts": [{"name": "r/t/best", "uri": "/b/best"}]}},
        "outputFile": "/b/executor_output.json",
    },
}
CONTEXT = placeholders.Context(
    MESSAGE,
    {"name": 'with "quotes"', "epochs": 5, "flag": True},
    {"pipeline_task_name": "t"},
    path=lambda uri: f"/mount{uri}",
    fills_constants=False,
)


@pytest.mark.parametrize(
    ("argument", "filled"),
    [
        ("--plain", "--plain"),
        ("{{$.inputs.parameters['name']}}", 'with "quotes"'),
        ("--n={{$.inputs.parameters['epochs']}}", "--n=5"),
        ("{{$.inputs.parameters['flag']}}", "true"),
        ("{{$.inputs.artifacts['model'].uri}}", "/a/model"),
        ("{{$.inputs.artifacts['model'].path}}", "/mount/a/model"),
        ("{{$.inputs.artifacts['model'].name}}", "r/t/model"),
        ("{{$.inputs.artifacts['model'].metadata['size']}}", "3"),
        ("{{$.outputs.artifacts['best'].uri}}", "/b/best"),
        ("{{$.outputs.parameters['count'].output_file}}", "/b/parameters/count"),
        ("{{$.pipeline_task_name}}", "t"),
        ("{{$.json_escape[1].inputs.parameters['name']}}", r"with \"quotes\""),
        ("{{$.inputs.parameters['name'].json_escape[1]}}", r"with \"quotes\""),
    ],
)
def test_what_stands_for_what(argument: str, filled: str) -> None:
    assert CONTEXT.fill(argument) == filled


def test_the_whole_message() -> None:
    assert json.loads(CONTEXT.fill("{{$}}")) == MESSAGE
    inside = '{"input": "{{$.json_escape[1]}}"}'
    assert json.loads(json.loads(CONTEXT.fill(inside))["input"]) == MESSAGE
    twice = json.dumps({"a": json.dumps({"b": "HERE"})}).replace("HERE", "{{$.json_escape[2]}}")
    found = json.loads(json.loads(CONTEXT.fill(twice))["a"])["b"]
    assert json.loads(found) == MESSAGE


@pytest.mark.parametrize(
    "argument",
    [
        "{{$.inputs.parameters['other']}}",
        "{{$.inputs.artifacts['other'].uri}}",
        "{{$.outputs.parameters['count']}}",
        "{{$.inputs.artifacts['model'].metadata['other']}}",
        "{{$.nothing}}",
    ],
)
def test_an_unknown_placeholder_is_refused(argument: str) -> None:
    with pytest.raises(UserError, match="no such placeholder"):
        CONTEXT.fill(argument)


def test_a_launcher_that_fills_constants_escapes_no_value() -> None:
    message = {"inputs": {"parameterValues": {"config": "at {{$.inputs.parameters['at']}}"}}}

    def filled(at: Any, fills: bool) -> str:
        names: dict[str, str] = {}
        context = placeholders.Context(message, {"at": at}, names, str, fills_constants=fills)
        return context.fill("{{$}}")

    assert json.loads(filled("x", False)) == message
    for at, text in (("x", "x"), (7, "7"), (1e-7, "0.0000001"), (1e21, "1" + "0" * 21)):
        found = json.loads(filled(at, True))["inputs"]["parameterValues"]["config"]
        assert found == f"at {text}"
    with pytest.raises(json.JSONDecodeError):
        json.loads(filled('a"b', True))


def test_parameters_inside_constants() -> None:
    inputs = {"pipelinechannel--epochs": 5, "pipelinechannel--rmse": 0.94, "other": "x"}
    constant = (
        "{\"num_steps\": {{$.inputs.parameters['pipelinechannel--epochs']}}, "
        "\"bound\": {{$.inputs.parameters['pipelinechannel--rmse']}}}"
    )
    assert placeholders.in_constant(constant, inputs) == '{"num_steps": 5, "bound": 0.94}'
    assert placeholders.in_constant("{{$.inputs.parameters['other']}}y", inputs) == "xy"
    assert placeholders.in_constant(7, inputs) == 7
    with pytest.raises(UserError, match="a placeholder for none: no such input"):
        placeholders.in_constant("{{$.inputs.parameters['none']}}", inputs)
