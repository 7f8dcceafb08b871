"""The Trainer on two workers, from the pipeline's own Transform to a model that answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline import graph
from pipeline.config.tree import load_config
from tests.e2e.pipeline_runs import SMALL, run
from tests.e2e.pushed_models import vectors
from tests.models.training_process import finish, start_cluster

pytestmark = pytest.mark.slow


def trainer_settings(checkpoints: Path) -> str:
    """The `custom_config` of the pipeline's own Trainer, as JSON."""
    locations = graph.Locations(data="", artifacts="", checkpoints=str(checkpoints), serving="")
    pipeline = graph.create_pipeline(load_config(None, SMALL), locations)
    (trainer,) = (node for node in pipeline.components if node.id == graph.TRAINER)
    return str(trainer.exec_properties["custom_config"])


def test_two_workers_export_the_model_of_one_and_the_chief_alone_writes(
    cut: Path, tmp_path: Path
) -> None:
    summary = run(tmp_path / "workspace", cut, *SMALL)
    settings = tmp_path / "config.json"
    settings.write_text(trainer_settings(tmp_path / "state"))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tests.e2e.trainer_process", str(tmp_path / "workspace")]
    ended = finish(
        start_cluster({"worker": 2}, lambda task: [*command, str(out / task), str(settings)])
    )
    assert {code for code, _ in ended.values()} == {0}, ended
    assert not (out / "worker-1").exists()
    assert not list((tmp_path / "state").iterdir())

    alone, together = (
        vectors(path) for path in (Path(str(summary.pushed_model)), out / "worker-0" / "model")
    )
    assert len(alone) == 2
    assert alone.keys() == together.keys()
    for name, values in alone.items():
        np.testing.assert_allclose(together[name], values, atol=1e-5, err_msg=name)
    history = json.loads((out / "worker-0" / "run" / "history.json").read_text())
    assert history["eval_rmse"] == pytest.approx(summary.rmse.eval, abs=1e-5)
    answer = tf.saved_model.load(str(out / "worker-0" / "model")).signatures["predict"](
        user_id=tf.constant(["nobody"]), movie_id=tf.constant(["none"])
    )
    assert np.isfinite(answer["rating"].numpy()).all()
