"""A rollback between runs, and a workspace that is moved: one workspace, in this order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import pruning, pushed_versions
from pipeline.summary import Summary
from pipeline.workspace import Workspace
from serving.version_pin import read_pin, served_version
from tests.e2e import pipeline_runs
from tests.e2e.commands import run_command
from tests.e2e.pipeline_runs import SMALL, STEPS
from tests.movierec.cli.command import movierec

pytestmark = pytest.mark.slow

# Each trains another model than SMALL: somewhat worse, and hardly other.
WORSE = (*SMALL, "training.epochs=6", "gate.max_regression=9")
ANOTHER = (*SMALL, "model.dimension=9", "gate.max_regression=9")
MODEL = "movierec"


class Weeks:
    """The workspace, and the runs by name."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder = folder
        self.data = data
        self.runs: dict[str, Summary] = {}

    @property
    def serving(self) -> Path:
        return self.folder / "serving" / MODEL

    def run(self, name: str, *overrides: str) -> Summary:
        self.runs[name] = pipeline_runs.run(self.folder, self.data, *overrides)
        return self.runs[name]


@pytest.fixture(scope="module")
def weeks(cut: Path, tmp_path_factory: pytest.TempPathFactory) -> Weeks:
    """A good model, then a worse one, which is rolled back."""
    told = Weeks(tmp_path_factory.mktemp("weeks") / "here", cut)
    good = Path(str(told.run("good", *SMALL).pushed_model))
    told.run("worse", *WORSE)
    pushed_versions.serve(Workspace(told.folder), MODEL, good, "rollback", "complaints")
    told.run("worse again", *WORSE)
    return told


def test_a_run_does_not_undo_a_rollback(weeks: Weeks) -> None:
    good, worse, again = (weeks.runs[name] for name in ("good", "worse", "worse again"))
    assert good.rmse is not None
    assert worse.rmse is not None
    assert worse.rmse.holdout > good.rmse.holdout
    assert worse.pushed_model is not None
    assert again.pushed_model is None
    assert "was rolled back" in str(again.refusal)
    assert str(served_version(weeks.serving)) == good.pushed_model


def test_what_was_rolled_back_is_no_baseline(weeks: Weeks) -> None:
    """The worse model was blessed last, and would be the one to compare with."""
    good = weeks.runs["good"]
    assert good.rmse is not None
    another = weeks.run("another", *ANOTHER)
    assert another.rmse is not None
    assert another.gate.baseline_rmse == pytest.approx(good.rmse.holdout, abs=1e-6)
    if another.rmse.holdout < good.rmse.holdout:
        assert another.pushed_model == str(served_version(weeks.serving))
        assert read_pin(weeks.serving).version is None
    else:
        assert another.pushed_model is None
        assert "would replace one that is no worse" in str(another.refusal)


def test_a_moved_workspace_works(weeks: Weeks) -> None:
    weeks.folder = weeks.folder.rename(weeks.folder.with_name("there"))
    served = served_version(weeks.serving)
    assert served is not None
    evaluated = movierec("evaluate", "--json", "--workspace", str(weeks.folder))
    assert evaluated.returncode == 0, evaluated.stderr
    found = json.loads(evaluated.stdout)
    rmse = {run.pushed_model: run.rmse for run in weeks.runs.values()}[
        str(weeks.folder.with_name("here") / served.relative_to(weeks.folder))
    ]
    assert rmse is not None
    assert found["rmse"] == pytest.approx(rmse.holdout, abs=1e-6)
    again = run_command(weeks.folder, f"data.path={weeks.data}", *SMALL)
    summary = json.loads(again.stdout)
    # Since the first run of this model, another one was blessed, which is now the baseline.
    assert set(summary["cached"]) >= STEPS - {"Evaluator", "Gate", "Pusher"}
    assert summary["examples"].startswith(str(weeks.folder))
    if again.returncode == 0:
        assert summary["pushed_model"] == str(served_version(weeks.serving))
    recommended = movierec("recommend", "--user", "13", "--workspace", str(weeks.folder))
    assert recommended.returncode == 0, recommended.stderr
    assert not weeks.folder.with_name("here").exists()


def test_a_pruned_workspace_goes_on(weeks: Weeks) -> None:
    served = served_version(weeks.serving)
    removed = pruning.prune(Workspace(weeks.folder), keep=1)
    assert {"run", "artifact"} <= {one.kind for one in removed}
    assert served_version(weeks.serving) == served
    evaluated = movierec("evaluate", "--json", "--workspace", str(weeks.folder))
    assert evaluated.returncode == 0, evaluated.stderr
