"""The dashboard and the alerts: every expression parses, and every metric and label is there."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import promql_parser
import pytest
import tensorflow as tf
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis import predict_pb2

import serving
from serving.defaults import LOOPBACK, MAX_CONCURRENT_REQUESTS
from serving.server_options import RequestLogOptions, ServerOptions
from tests.serving.asking import asking, running, wait_until
from tests.serving.doubling import save_doubling

FOLDER = Path(serving.__file__).parent / "monitoring"
# Names and labels of TensorFlow Serving's metrics, from its source: servables/tensorflow/util.cc,
# saved_model_warmup_util.cc, and TensorFlow's saved_model/loader.cc. util/prometheus_exporter.cc
# writes ":" for each "/", adds nothing to a counter's name, and the usual endings to a histogram's.
SERVING_COUNTERS = {
    "/tensorflow/serving/request_count": {"model_name", "status"},
    "/tensorflow/cc/saved_model/load_attempt_count": {"model_path", "status"},
}
SERVING_HISTOGRAMS = {
    "/tensorflow/serving/request_latency": {"model_name", "API", "entrypoint"},
    "/tensorflow/serving/runtime_latency": {"model_name", "API", "runtime"},
    "/tensorflow/serving/model_warmup_latency": {"model_path", "status"},
}
# Labels that Prometheus adds.
ADDED = {"job", "instance"}
# Grafana replaces its variables before Prometheus sees them.
GRAFANA = {"$__rate_interval": "1m", "$job": ".+", "$instance": ".+"}


def dashboard() -> dict[str, Any]:
    return json.loads((FOLDER / "dashboard.json").read_text())


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> dict[str, str]:
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            text = target["expr"]
            for name, value in GRAFANA.items():
                text = text.replace(name, value)
            found[f"{panel['title']} {target['refId']}"] = text
    return found


EXPRESSIONS = expressions()


def selectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    """Every selector of a metric in an expression."""
    match node:
        case promql_parser.VectorSelector():
            yield node
        case promql_parser.MatrixSelector():
            yield node.vector_selector
        case promql_parser.BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr():
            yield from selectors(node.expr)
        case promql_parser.Call():
            for argument in node.args:
                yield from selectors(argument)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            pass
        case _:
            raise AssertionError(f"{type(node).__name__} is not known to this test")


def grouped(text: str) -> set[str]:
    """The labels by which an expression groups or matches."""
    lists = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", text)
    return {label.strip() for found in lists for label in found.split(",")} - {"le"}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The labels of each series: of a running embedded server, and of TensorFlow Serving."""
    base_path = tmp_path_factory.mktemp("models")
    save_doubling(base_path / "1")
    (base_path / "2").mkdir()
    (base_path / "2" / "saved_model.pb").write_bytes(b"no model")
    log = RequestLogOptions(base_path / "log", 1.0)
    options = ServerOptions("doubling", base_path, port=0, metrics_port=0, request_log=log)
    with running(options) as server, asking(server.port) as asked:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "doubling"
        request.model_spec.signature_name = "predict"
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones(1, np.float32)))
        asked.predictions.Predict(request)
        page = f"http://{LOOPBACK}:{server.metrics_port}/metrics"

        def series() -> dict[str, set[str]]:
            with urllib.request.urlopen(page) as answer:
                families = list(text_string_to_metric_families(answer.read().decode()))
            return {one.name: set(one.labels) for family in families for one in family.samples}

        # The line is written a moment after the answer.
        wait_until(lambda: "movierec_logged_requests_total" in series())
        scraped = series()
    assert scraped["movierec_failed_version"] == {"version"}
    named = {name.replace("/", ":"): labels for name, labels in SERVING_COUNTERS.items()}
    for name, labels in SERVING_HISTOGRAMS.items():
        for ending in ("bucket", "sum", "count"):
            named[f"{name.replace('/', ':')}_{ending}"] = labels | (
                {"le"} if ending == "bucket" else set()
            )
    return {"up": set()} | scraped | named


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_metrics_and_labels_are_there(name: str, known: dict[str, set[str]]) -> None:
    text = EXPRESSIONS[name]
    assert "$" not in text
    parsed = promql_parser.parse(text)
    used = list(selectors(parsed))
    assert used
    labels = set(ADDED)
    for selector in used:
        assert selector.name in known
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert matched <= known[selector.name] | ADDED
        labels |= known[selector.name]
    assert grouped(text) <= labels


def test_every_metric_of_the_embedded_server_is_watched(known: dict[str, set[str]]) -> None:
    used = {
        selector.name
        for text in EXPRESSIONS.values()
        for selector in selectors(promql_parser.parse(text))
    }
    own = {name for name in known if name.startswith("movierec_") and "_created" not in name}
    assert own <= used


def test_an_unknown_metric_is_noticed(known: dict[str, set[str]]) -> None:
    (selector,) = selectors(promql_parser.parse("rate(movierec_requests[5m])"))
    assert selector.name not in known


def test_the_alerts_are_complete() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_what_the_texts_repeat() -> None:
    overloaded = next(rule for rule in rules() if rule["alert"] == "MovierecOverloaded")
    assert f"0.8 * {MAX_CONCURRENT_REQUESTS}" in overloaded["expr"]
    panels = {panel["title"]: panel for panel in dashboard()["panels"]}
    assert str(MAX_CONCURRENT_REQUESTS) in panels["Requests in flight"]["description"]
    # Severity and limits are said on the dashboard too.
    errors = next(rule for rule in rules() if rule["alert"] == "MovierecErrors")
    assert "> 0.01" in errors["expr"]
    assert "1 %" in panels["Requests that the server fails"]["description"]


def test_the_dashboard_is_one_of_grafana() -> None:
    shown = dashboard()
    panels = shown["panels"]
    identities = [panel["id"] for panel in panels]
    assert len(set(identities)) == len(identities)
    variables = {entry["name"] for entry in shown["templating"]["list"]}
    assert variables == {"datasource", "job", "instance"}
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not own & cells
        cells |= own
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
