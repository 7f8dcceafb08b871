"""The outputs of the step that reports on a run, and the types by which the platforms show them.

The step itself is `movierec.report.step`, above this folder, so the compiler is given it.
"""

from __future__ import annotations

from typing import Any, Final

REPORT_KEY: Final = "report"
METRICS_KEY: Final = "metrics"

# Types of the platforms' own, which their pages know. TFX would compile them as its own types.
SYSTEM_TYPES: Final = {REPORT_KEY: "system.HTML", METRICS_KEY: "system.Metrics"}
_SCHEMA_VERSION: Final = "0.0.1"


def declare_system_types(component: dict[str, Any]) -> None:
    """Declares the outputs of the step with the platforms' types.

    Args:
        component: ComponentSpec of the step as JSON.
    """
    for key, definition in component["outputDefinitions"]["artifacts"].items():
        definition["artifactType"] = {
            "schemaTitle": SYSTEM_TYPES[key],
            "schemaVersion": _SCHEMA_VERSION,
        }
