"""What commands and trainings take seconds to import, imported once for all of them."""

import importlib

for _name in (
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
):
    importlib.import_module(_name)
