"""The command of every pod of a TFJob: the Trainer's executor, as one of several workers.

The operator sets TF_CONFIG. The arguments are those of the step that made the job, its
ExecutorInput resolved; artifacts are read and written at their URIs.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile

from absl import app
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

from kubeflow.step_command import explained, parse


def run(parsed: tuple[argparse.Namespace, list[str]]) -> None:
    """Trains as one replica.

    Args:
        parsed: The command's own arguments, and those that are Beam's, which a replica ignores.
    """
    arguments, _ = parsed
    executor_input = json.loads(arguments.json_serialized_invocation_args)
    with tempfile.TemporaryDirectory() as folder:
        # What the platform is told of the outputs comes from the step, once for all replicas.
        executor_input["outputs"]["outputFile"] = os.path.join(folder, "output.json")
        arguments.json_serialized_invocation_args = json.dumps(executor_input)
        with explained():
            kubeflow_v2_run_executor.main((arguments, []))


if __name__ == "__main__":
    app.run(run, flags_parser=parse)
