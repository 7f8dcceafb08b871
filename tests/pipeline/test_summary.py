from pathlib import Path

import pytest

from pipeline import summary
from pipeline.workspace import Workspace
from tests.pipeline.summaries import summary as summary_of


def test_a_summary_is_right_after_its_workspace_was_moved(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    before = Workspace(root / "here")
    made = summary_of(
        run_id="2024-01-01",
        examples=str(before.artifacts / "examples" / "2"),
        pushed_model=str(before.serving("movierec") / "12"),
    )
    (before.runs / made.run_id).mkdir(parents=True)
    summary.write(before, made)
    (unmoved,) = summary.newest_first(before)
    assert unmoved.pushed_model == made.pushed_model
    assert str(root) not in (before.runs / made.run_id / "summary.json").read_text()
    after = Workspace(before.root.rename(root / "there"))
    (found,) = summary.newest_first(after)
    assert found.examples == str(after.artifacts / "examples" / "2")
    assert found.pushed_model == str(after.serving("movierec") / "12")
    assert summary.of_pushed_model(after, after.serving("movierec") / "12") == found


def test_the_versions_may_be_on_another_volume(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path.resolve() / "here")
    volume = tmp_path.resolve() / "volume"
    (volume / "12").mkdir(parents=True)
    workspace.serving("").mkdir(parents=True)
    workspace.serving("movierec").symlink_to(volume)
    made = summary_of(run_id="2024-01-01", pushed_model=str(workspace.serving("movierec") / "12"))
    (workspace.runs / made.run_id).mkdir(parents=True)
    summary.write(workspace, made)
    for pushed in (workspace.serving("movierec") / "12", volume / "12"):
        assert summary.of_pushed_model(workspace, pushed).run_id == made.run_id


def test_a_path_outside_the_workspace_stays(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "here")
    made = summary_of(run_id="2024-01-01", examples=str(tmp_path.resolve() / "elsewhere"))
    (workspace.runs / made.run_id).mkdir(parents=True)
    summary.write(workspace, made)
    assert [found.examples for found in summary.newest_first(workspace)] == [made.examples]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"{}"])
def test_a_damaged_summary_says_nothing_and_hides_no_other(tmp_path: Path, content: bytes) -> None:
    workspace = Workspace(tmp_path)
    for run_id in ("2024-01-01", "2024-01-02"):
        (workspace.runs / run_id).mkdir(parents=True)
        summary.write(workspace, summary_of(run_id=run_id))
    (workspace.runs / "2024-01-02" / "summary.json").write_bytes(content)
    assert [found.run_id for found in summary.newest_first(workspace)] == ["2024-01-01"]
