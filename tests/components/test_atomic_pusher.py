import shutil
import time
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.atomic_pusher import executor


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder


def test_the_whole_model_appears_under_its_version(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "serving" / "12"
    target.parent.mkdir()
    executor.copy_whole(str(model), str(target))
    assert (target / "variables" / "variables.index").read_bytes() == b"index"
    assert [entry.name for entry in target.parent.iterdir()] == ["12"]


def test_a_full_disk_leaves_nothing_behind(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_copied(source: str, target: str) -> None:
        Path(target).mkdir()
        (Path(target) / "saved_model.pb").write_bytes(b"gr")
        raise OSError(28, "No space left on device", source)

    monkeypatch.setattr(shutil, "copytree", half_copied)
    target = tmp_path / "serving" / "12"
    target.parent.mkdir()
    with pytest.raises(OSError, match="No space left"):
        executor.copy_whole(str(model), str(target))
    assert list(target.parent.iterdir()) == []


def test_nothing_can_fail_once_a_server_sees_the_version(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy for the archive fails, as on a full disk: then nothing is served either."""
    serving = tmp_path / "serving"
    pushed = standard_artifacts.PushedModel()
    pushed.uri = str(tmp_path / "archive")
    copied = shutil.copytree

    def full(source: str, target: str, **options: bool) -> None:
        if target == pushed.uri:
            raise OSError(28, "No space left on device", target)
        copied(source, target, **options)

    monkeypatch.setattr(shutil, "copytree", full)
    monkeypatch.setattr(executor.Executor, "CheckBlessing", lambda self, inputs: True)
    monkeypatch.setattr(executor.Executor, "GetModelPath", lambda self, inputs: str(model))
    destination = f'{{"filesystem": {{"base_directory": "{serving}"}}}}'
    with pytest.raises(OSError, match="No space left"):
        executor.Executor().Do({}, {"pushed_model": [pushed]}, {"push_destination": destination})
    assert not list(serving.iterdir())


def test_what_a_killed_push_left_is_no_obstacle(model: Path, tmp_path: Path) -> None:
    left = tmp_path / "serving" / ".incoming-12"
    left.mkdir(parents=True)
    (left / "saved_model.pb").write_bytes(b"half")
    target = tmp_path / "serving" / "12"
    executor.copy_whole(str(model), str(target))
    assert (target / "saved_model.pb").read_bytes() == b"graph"
    assert not left.exists()


def test_a_version_is_the_time_and_always_the_highest(tmp_path: Path) -> None:
    before = int(time.time())
    assert before <= executor.next_version(str(tmp_path)) <= time.time()
    ahead = before + 10_000
    (tmp_path / str(ahead)).mkdir()
    (tmp_path / ".incoming-99999999999").mkdir()
    assert executor.next_version(str(tmp_path)) == ahead + 1
