"""The Trainer's work in a process of its own, as a cluster starts it on each worker.

python -m tests.e2e.trainer_process WORKSPACE OUT CONFIG.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from models.training.trainer import run_fn


def main(workspace: Path, out: Path, custom_config: Path) -> None:
    (transformed,) = workspace.glob("artifacts/Transform/transformed_examples/*")
    (graph,) = workspace.glob("artifacts/Transform/transform_graph/*")
    run_fn(
        SimpleNamespace(
            train_files=[str(transformed / "Split-train" / "*")],
            eval_files=[str(transformed / "Split-eval" / "*")],
            transform_graph_path=str(graph),
            serving_model_dir=str(out / "model"),
            model_run_dir=str(out / "run"),
            hyperparameters=None,
            base_model=None,
            custom_config=json.loads(custom_config.read_text()),
        )
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
