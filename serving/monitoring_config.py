"""TensorFlow Serving's `MonitoringConfig`, for whoever starts it: here or in a cluster."""

from __future__ import annotations

from typing import Final

# Of the metrics over HTTP, whichever server has them.
METRICS_PATH: Final = "/metrics"


def monitoring_config() -> str:
    """Prometheus metrics on the REST port, at `METRICS_PATH`, in the text format of the proto."""
    return f'prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n'
