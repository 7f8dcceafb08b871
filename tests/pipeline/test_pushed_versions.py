from __future__ import annotations

import errno
import os
import shutil
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from components import push_folder
from pipeline import pushed_versions, summary
from pipeline.config.errors import UserError
from pipeline.pushed_versions import serve
from pipeline.workspace import Workspace
from serving.errors import ServingError
from serving.version_pin import PIN_FILE, Pin, read_pin, served_version
from tests.components import answering_models
from tests.pipeline.summaries import summary as summary_of

MODEL = "movierec"


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The versions that were tried in a server, which is left out."""
    tried: list[Path] = []
    monkeypatch.setattr(pushed_versions, "try_in_server", lambda version, _: tried.append(version))
    return tried


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Versions 10, 11 and 12, each pushed by a run of its own."""
    workspace = Workspace(tmp_path.resolve())
    for number, rmse in ((10, 0.93), (11, 0.92), (12, 0.91)):
        version = workspace.serving(MODEL) / str(number)
        version.mkdir(parents=True)
        (version / "saved_model.pb").touch()
        (version / "fingerprint.pb").write_text(str(number))
        # The time of the export.
        os.utime(version, (5, 5))
        run = workspace.runs / f"2024-{number}"
        run.mkdir(parents=True)
        figures = summary.Rmse(train=0.8, eval=0.9, holdout=rmse)
        made = summary_of(run_id=run.name, rmse=figures, pushed_model=str(version))
        summary.write(workspace, made)
    return workspace


def version(workspace: Workspace, number: int) -> Path:
    return workspace.serving(MODEL) / str(number)


def test_each_version_has_its_run_and_the_newest_is_served(workspace: Workspace) -> None:
    found = pushed_versions.pushed_versions(workspace, MODEL)
    assert [(v.version, v.served, v.run_id, v.rmse) for v in found] == [
        (10, False, "2024-10", 0.93),
        (11, False, "2024-11", 0.92),
        (12, True, "2024-12", 0.91),
    ]
    assert found[2].reason == "good enough"
    pushed = [datetime.fromisoformat(version.pushed_at).timestamp() for version in found]
    assert pushed == [10, 11, 12]


def test_a_rollback_pins_and_rejects_what_is_newer(
    workspace: Workspace, untried: list[Path]
) -> None:
    made = serve(workspace, MODEL, version(workspace, 10), "rollback", "complaints")
    assert untried == [version(workspace, 10)]
    assert (made.action, made.version, made.replaced, made.reason) == (
        "rollback",
        10,
        12,
        "complaints",
    )
    pin = read_pin(workspace.serving(MODEL))
    assert pin == Pin(
        version=10,
        rejected={
            number: push_folder.digest(str(version(workspace, number))) for number in (11, 12)
        },
        changes=(made,),
    )
    found = pushed_versions.pushed_versions(workspace, MODEL)
    assert [v.version for v in found if v.served] == [10]
    assert "rollback by " in found[0].reason
    assert "complaints" in found[0].reason
    assert found[2].reason.startswith("rolled back")


def test_a_promotion_of_the_newest_follows_the_newest_again(
    workspace: Workspace, untried: list[Path]
) -> None:
    serve(workspace, MODEL, version(workspace, 10), "rollback", "complaints")
    serve(workspace, MODEL, version(workspace, 12), "promote", "it was not the model")
    pin = read_pin(workspace.serving(MODEL))
    assert pin.version is None
    assert set(pin.rejected) == {11}
    assert [(made.version, made.replaced) for made in pin.changes] == [(10, 12), (12, 10)]
    assert served_version(workspace.serving(MODEL)) == version(workspace, 12)


def test_nothing_changes_while_a_version_is_being_pushed(
    workspace: Workspace, untried: list[Path]
) -> None:
    folder = workspace.serving(MODEL)
    with push_folder.locked(str(folder)), pytest.raises(UserError, match="is being pushed"):
        serve(workspace, MODEL, version(workspace, 10), "rollback", "complaints")
    assert read_pin(folder) == Pin()
    # The trial takes a while, and would be in vain.
    assert untried == []


def test_a_damaged_pin_is_told_before_the_trial(workspace: Workspace, untried: list[Path]) -> None:
    (workspace.serving(MODEL) / PIN_FILE).write_text("{")
    with pytest.raises(ServingError, match=r"pin\.json: damaged"):
        serve(workspace, MODEL, version(workspace, 10), "promote", "complaints")
    assert untried == []


def test_a_push_that_begins_during_the_trial_is_let_through(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workspace.serving(MODEL)
    with ExitStack() as pushing:

        def push(*_: object) -> None:
            pushing.enter_context(push_folder.locked(str(folder)))

        monkeypatch.setattr(pushed_versions, "try_in_server", push)
        with pytest.raises(UserError, match="is being pushed"):
            serve(workspace, MODEL, version(workspace, 10), "rollback", "complaints")
    assert read_pin(folder) == Pin()


def test_a_version_that_is_removed_while_it_is_tried_is_not_pinned(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = version(workspace, 10)
    monkeypatch.setattr(pushed_versions, "try_in_server", lambda folder, _: shutil.rmtree(folder))
    with pytest.raises(UserError, match="10: removed while it was tried"):
        serve(workspace, MODEL, chosen, "rollback", "complaints")
    assert read_pin(workspace.serving(MODEL)) == Pin()


def test_a_file_system_without_locks_keeps_nobody_from_a_rollback(
    workspace: Workspace, untried: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(push_folder.fcntl, "flock", no_locks)
    serve(workspace, MODEL, version(workspace, 10), "rollback", "complaints")
    assert read_pin(workspace.serving(MODEL)).version == 10


@pytest.mark.parametrize(
    "damage", ["unreadable", pytest.param("answers nothing", marks=pytest.mark.slow), None]
)
def test_a_version_is_served_only_if_it_answers_in_a_server(
    tmp_path: Path, damage: str | None
) -> None:
    workspace = Workspace(tmp_path.resolve())
    good = version(workspace, 10)
    if damage == "answers nothing":
        answering_models.save(
            good,
            lambda name, outputs: (
                {**outputs, "score": outputs["score"] * float("nan")}
                if "score" in outputs
                else outputs
            ),
        )
    else:
        answering_models.save(good)
    if damage == "unreadable":
        (good / "saved_model.pb").write_bytes(b"damaged")
    newest = version(workspace, 12)
    newest.mkdir()
    (newest / "saved_model.pb").touch()
    if damage is None:
        serve(workspace, MODEL, good, "rollback", "complaints")
        assert served_version(workspace.serving(MODEL)) == good
        return
    with pytest.raises(ServingError):
        serve(workspace, MODEL, good, "rollback", "complaints")
    assert read_pin(workspace.serving(MODEL)) == Pin()
