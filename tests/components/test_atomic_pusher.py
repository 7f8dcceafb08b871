import itertools
import logging
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf
from tfx.components.pusher import executor as tfx_executor
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts

from components import atomic_pusher, push_folder
from components.errors import DataError

SAVED_MODEL = "saved_model.pb"


class Scaled(tf.Module):
    """A model of one weight."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = tf.Variable(weight, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def __call__(self, value: tf.Tensor) -> tf.Tensor:
        return value * self.weight


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    return folder


@pytest.fixture
def serving(tmp_path: Path) -> Path:
    folder = tmp_path / "serving"
    folder.mkdir()
    return folder


def test_the_whole_model_appears_under_its_version(model: Path, serving: Path) -> None:
    target = Path(atomic_pusher.push_whole(str(model), str(serving)))
    assert (target / "variables" / "variables.index").read_bytes() == b"index"
    assert list(serving.iterdir()) == [target]


def test_a_full_disk_leaves_nothing_behind(
    model: Path, serving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_copied(source: str, target: str) -> None:
        Path(target).mkdir()
        (Path(target) / "saved_model.pb").write_bytes(b"gr")
        raise OSError(28, "No space left on device", source)

    monkeypatch.setattr(shutil, "copytree", half_copied)
    with pytest.raises(OSError, match="No space left"):
        atomic_pusher.push_whole(str(model), str(serving))
    assert list(serving.iterdir()) == []


def test_everything_is_on_the_disk_before_the_version_appears(
    model: Path, serving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def seen(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        visible = any(entry.name.isdecimal() for entry in serving.iterdir())
        place = "the folder of the versions" if path == serving else path.name
        synced.append((place, visible))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    atomic_pusher.push_whole(str(model), str(serving))
    (*before, last) = synced
    assert last == ("the folder of the versions", True)
    assert {"saved_model.pb", "variables.index", "variables"} < {place for place, _ in before}
    # Two files, and the folders of the model and of the variables.
    assert len(before) == 4
    assert not any(visible for _, visible in before)


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
    monkeypatch.setattr(atomic_pusher.Executor, "CheckBlessing", lambda self, inputs: True)
    monkeypatch.setattr(atomic_pusher.Executor, "GetModelPath", lambda self, inputs: str(model))
    destination = f'{{"filesystem": {{"base_directory": "{serving}"}}}}'
    with pytest.raises(OSError, match="No space left"):
        atomic_pusher.Executor().Do(
            {"examples": [standard_artifacts.Examples()]},
            {"pushed_model": [pushed]},
            {"push_destination": destination, "liked_rating": 4.0},
        )
    assert not list(serving.iterdir())


def test_a_version_is_the_time_and_always_the_highest(tmp_path: Path) -> None:
    before = int(time.time())
    assert before <= atomic_pusher.next_version(str(tmp_path)) <= time.time()
    ahead = before + 10_000
    (tmp_path / str(ahead)).mkdir()
    (tmp_path / ".incoming-99999999999").mkdir()
    assert atomic_pusher.next_version(str(tmp_path)) == ahead + 1


@pytest.mark.parametrize("stray", [10**18, 2**63 - 1, 2**63, 10**100])
def test_a_folder_of_a_huge_number_is_no_version(tmp_path: Path, stray: int) -> None:
    (tmp_path / str(stray)).mkdir()
    (tmp_path / str(stray) / SAVED_MODEL).touch()
    assert atomic_pusher.next_version(str(tmp_path)) <= time.time()


def test_a_stray_folder_of_the_highest_number_blocks_no_push(tmp_path: Path) -> None:
    (tmp_path / str(10**18 - 1)).mkdir()
    assert atomic_pusher.next_version(str(tmp_path)) <= time.time()


def test_no_version_is_pushed_that_no_request_could_name(tmp_path: Path) -> None:
    (tmp_path / str(10**18 - 1)).mkdir()
    (tmp_path / str(10**18 - 1) / SAVED_MODEL).touch()
    with pytest.raises(DataError, match=f"{10**18 - 1}; rename that folder"):
        atomic_pusher.next_version(str(tmp_path))


def test_two_processes_never_take_the_same_version(
    model: Path, serving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a file system has no locks: another push takes the number in between."""
    numbers = iter([12, 13])
    monkeypatch.setattr(atomic_pusher, "next_version", lambda _: next(numbers))
    (serving / "12").mkdir()
    (serving / "12" / SAVED_MODEL).write_bytes(b"other")
    assert atomic_pusher.push_whole(str(model), str(serving)) == str(serving / "13")
    assert (serving / "12" / SAVED_MODEL).read_bytes() == b"other"


class Pushes:
    """Runs of the step, each with an artifact of its own; every push takes place a second later."""

    def __init__(self, folder: Path, base_directory: str) -> None:
        self.base_directory = base_directory
        self._folder = folder

    def export(self, name: str, weight: float) -> standard_artifacts.Model:
        model = standard_artifacts.Model()
        model.uri = str(self._folder / name)
        tf.saved_model.save(Scaled(weight), self.exported(model))
        return model

    @staticmethod
    def exported(model: standard_artifacts.Model) -> str:
        return os.path.join(model.uri, "Format-Serving")

    def push(
        self,
        model: standard_artifacts.Model,
        blessings: tuple[int, int] = (1, 1),
        attempt_of: standard_artifacts.PushedModel | None = None,
    ) -> standard_artifacts.PushedModel:
        judged = standard_artifacts.ModelBlessing(), standard_artifacts.InfraBlessing()
        for blessing, blessed in zip(judged, blessings, strict=True):
            blessing.set_int_custom_property("blessed", blessed)
        pushed = standard_artifacts.PushedModel()
        number = len(list(self._folder.glob("pushed-*")))
        pushed.uri = attempt_of.uri if attempt_of else str(self._folder / f"pushed-{number}")
        Path(pushed.uri).mkdir(exist_ok=True)
        destination = f'{{"filesystem": {{"base_directory": "{self.base_directory}"}}}}'
        atomic_pusher.Executor().Do(
            {
                "model": [model],
                "model_blessing": [judged[0]],
                "infra_blessing": [judged[1]],
                "examples": [standard_artifacts.Examples()],
            },
            {"pushed_model": [pushed]},
            {"push_destination": destination, "liked_rating": 4.0},
        )
        return pushed

    def versions(self) -> list[str]:
        if not fileio.exists(self.base_directory):
            return []
        return sorted(fileio.listdir(self.base_directory))

    def file(self, version: str, name: str) -> str:
        return os.path.join(self.base_directory, version, name)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pushes:
    # All pushes take place in the same second.
    monkeypatch.setattr(atomic_pusher, "time", SimpleNamespace(time=lambda: 100.5))
    return Pushes(tmp_path, str(tmp_path / "serving"))


@pytest.mark.parametrize("same", [True, False])
def test_pushes_at_once_take_turns(local: Pushes, same: bool) -> None:
    models = [local.export("model", 2), local.export("other", 3)]
    pushed = [models[0] if same else model for model in models]
    with ThreadPoolExecutor(2) as pool:
        found = [says(artifact) for artifact in pool.map(local.push, pushed)]
    expected = ["100"] if same else ["100", "101"]
    assert local.versions() == expected
    assert {version for _, _, version in found} == set(expected)
    for version in expected:
        assert fileio.exists(local.file(version, SAVED_MODEL))


@pytest.mark.parametrize("ahead", [0, 10_000])
def test_remote_pushes_at_once_are_versions_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """TFX's Pusher leaves the second one out, and takes the clock's number where it is behind."""
    monkeypatch.setattr(atomic_pusher, "time", SimpleNamespace(time=lambda: 100.5))
    # A file system of TensorFlow's that is in memory.
    folder = f"ram:/{tmp_path}/serving"
    if ahead:
        fileio.makedirs(f"{folder}/{ahead}")
    exports = [tmp_path / name for name in "abcd"]
    for export in exports:
        (export / "variables").mkdir(parents=True)
        (export / "variables" / "variables.index").write_text(export.name)
        (export / SAVED_MODEL).write_text(export.name)
    with ThreadPoolExecutor(4) as pool:
        pushed = pool.map(lambda export: atomic_pusher.push_in_order(str(export), folder), exports)
        targets = list(pushed)
    assert len(set(targets)) == 4
    assert min(int(target.rpartition("/")[2]) for target in targets) > max(99, ahead)
    for export, target in zip(exports, targets, strict=True):
        for name in (SAVED_MODEL, "variables/variables.index"):
            with fileio.open(f"{target}/{name}") as file:
                assert file.read() == export.name
    assert not [name for name in fileio.listdir(folder) if name.startswith(push_folder.INCOMING)]


def test_what_killed_pushes_left_is_removed_unless_one_is_under_way(local: Pushes) -> None:
    model = local.export("model", 2)
    left = [Path(local.base_directory, f".incoming-{name}") for name in ("12", "ab")]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / SAVED_MODEL).write_bytes(b"half")
    with (
        push_folder.locked(local.base_directory) as mine,
        push_folder.locked(local.base_directory, wait=False) as other,
    ):
        assert (mine, other) == (True, False)
    local.push(model)
    assert local.versions() == ["100"]


@pytest.fixture(params=["of this machine", "remote"])
def pushes(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Pushes:
    clock = SimpleNamespace(time=itertools.count(100.5).__next__)
    for module in (atomic_pusher, tfx_executor):
        monkeypatch.setattr(module, "time", clock)
    remote = request.param == "remote"
    # A file system of TensorFlow's that is in memory.
    return Pushes(tmp_path, f"ram:/{tmp_path}/serving" if remote else str(tmp_path / "serving"))


def says(pushed: standard_artifacts.PushedModel) -> tuple[int, str, str]:
    return (
        pushed.get_int_custom_property("pushed"),
        pushed.get_string_custom_property("pushed_destination"),
        pushed.get_string_custom_property("pushed_version"),
    )


def test_a_step_that_is_tried_again_pushes_no_second_version(
    pushes: Pushes, caplog: pytest.LogCaptureFixture
) -> None:
    model = pushes.export("model", 2)
    first = pushes.push(model)
    # As if the first attempt had been ended while it filled the artifact.
    Path(first.uri, SAVED_MODEL).unlink()
    with caplog.at_level(logging.INFO):
        again = pushes.push(model, attempt_of=first)
    assert pushes.versions() == ["100"]
    version = f"{pushes.base_directory}/100"
    assert says(first) == says(again) == (1, version, "100")
    assert f"{version} is this export already: no new version is pushed" in caplog.messages
    saved = Path(pushes.exported(model), SAVED_MODEL).read_bytes()
    assert Path(again.uri, SAVED_MODEL).read_bytes() == saved
    with fileio.open(pushes.file("100", SAVED_MODEL), "rb") as file:
        assert file.read() == saved


def test_every_other_export_is_a_new_version(pushes: Pushes) -> None:
    model = pushes.export("model", 2)
    others = [
        pushes.export("of other weights", 3),
        pushes.export("of the same weights", 3),
        # What was pushed before the newest is to be served again.
        model,
    ]
    pushes.push(model)
    for number, other in enumerate(others, start=101):
        assert says(pushes.push(other)) == (1, f"{pushes.base_directory}/{number}", str(number))
    assert pushes.versions() == ["100", "101", "102", "103"]


def test_half_a_version_is_none(pushes: Pushes) -> None:
    model = pushes.export("model", 2)
    pushes.push(model)
    fileio.remove(pushes.file("100", SAVED_MODEL))
    assert says(pushes.push(model))[2] == "101"
    assert fileio.exists(pushes.file("101", SAVED_MODEL))


def test_without_a_fingerprint_two_exports_are_never_the_same(pushes: Pushes) -> None:
    model = pushes.export("model", 2)
    Path(pushes.exported(model), "fingerprint.pb").unlink()
    assert [says(pushes.push(model))[2] for _ in range(2)] == ["100", "101"]


@pytest.mark.parametrize("blessings", [(0, 1), (1, 0)])
def test_what_one_has_not_blessed_is_not_pushed(pushes: Pushes, blessings: tuple[int, int]) -> None:
    model = pushes.export("model", 2)
    nothing = (0, "", "")
    refused = pushes.push(model, blessings)
    assert refused.has_custom_property("pushed")
    assert says(refused) == nothing
    assert pushes.versions() == []
    pushes.push(model)
    # Not even where it is already.
    again = pushes.push(model, blessings)
    assert says(again) == nothing
    assert not list(Path(again.uri).iterdir())
    assert pushes.versions() == ["100"]
