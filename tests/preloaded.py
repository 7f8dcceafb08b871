"""What commands and trainings take seconds to import, imported once for all of them."""

import importlib
import os

_MODULES = (
    "kubeflow.compiling.compiler",
    "kubeflow.local_execution.runner",
    "kubeflow.manifests.render",
    "kubeflow.submission.request",
    "models.training.trainer",
    "movierec.cli.app",
    "movierec.report.comparison",
    "movierec.report.page",
    "movierec.report.step",
    "pipeline.bulk_export",
    "pipeline.data_check",
    "pipeline.local_runner",
    "pipeline.request_skew",
    "serving.client",
    "serving.embedded.server",
    "serving.launch.launcher",
    "serving.pushed_model",
    "tests.models.factories",
)

# What libraries print as they are imported belongs to no test.
_errors = os.dup(2)
_nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 2)
try:
    for _name in _MODULES:
        importlib.import_module(_name)
finally:
    os.dup2(_errors, 2)
    os.close(_errors)
    os.close(_nowhere)
