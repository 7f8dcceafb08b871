"""The version watcher, with versions that are files of a word, loaded by a stub."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import get_model_status_pb2

from serving.embedded import version_watcher
from serving.embedded.request_errors import invalid
from serving.embedded.served_versions import ServedVersions
from serving.embedded.version_watcher import VersionStates, VersionWatcher
from serving.errors import UnreadableModelError
from serving.version_pin import PIN_FILE, Pin
from tests.serving.asking import SECONDS, wait_until

State = get_model_status_pb2.ModelVersionStatus


class Version:
    """What stands in a version's file; `bad` does not load, `gone` breaks its loader."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.word = (folder / "saved_model.pb").read_text()
        self.closed = False
        if self.word == "bad":
            raise UnreadableModelError("it is bad")
        if self.word == "gone":
            raise OSError("it is gone")

    def close(self) -> None:
        self.closed = True


def _no_more_open_files(*_: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class Watched:
    """A folder, its watcher, and what became of each version."""

    def __init__(self, folder: Path, labelled: tuple[int, ...] = ()) -> None:
        self.folder = folder
        self.served = ServedVersions()
        self.states = VersionStates()
        self.loads: list[int] = []
        # Versions that are kept from loading.
        self.hold: dict[int, threading.Event] = {}
        self.changes: list[set[int]] = []
        self.watcher = VersionWatcher(
            folder,
            labelled,
            self._load,  # type: ignore[arg-type]
            self.served,
            self.states,
            lambda: self.changes.append(self.served.numbers()),
        )

    def _load(self, number: int, folder: Path) -> Version:
        self.loads.append(number)
        if number in self.hold:
            self.hold[number].wait(SECONDS)
        # While it loads, what was served before still is.
        assert not self.changes or self.served.numbers() >= self.changes[-1]
        return Version(number, folder)

    def push(self, number: int, word: str = "good") -> Path:
        folder = self.folder / str(number)
        folder.mkdir(exist_ok=True)
        (folder / "saved_model.pb").write_text(word)
        return folder

    def delete(self, number: int) -> None:
        folder = self.folder / str(number)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    def pin(self, number: int | None) -> None:
        (self.folder / PIN_FILE).write_text(Pin(version=number).model_dump_json())

    def poll(self) -> set[int]:
        """Looks until nothing is left to load."""
        self.watcher.load_first()
        return self.served.numbers()

    def poll_until(self, true: Callable[[], bool]) -> None:
        def look() -> bool:
            self.watcher.poll()
            return true()

        wait_until(look)

    def state(self, number: int) -> State:
        return next(status for status in self.states.all() if status.version == number)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_the_newest_by_number_takes_over(watched: Watched) -> None:
    watched.push(9)
    assert watched.poll() == {9}
    watched.push(10)
    assert watched.poll() == {10}
    assert watched.loads == [9, 10]
    assert watched.changes == [{9}, {10}]
    assert watched.state(10).state == State.AVAILABLE
    assert watched.state(9).state == State.END
    assert not watched.state(9).status.error_message


def test_what_is_no_version_is_not_looked_at(watched: Watched) -> None:
    watched.push(1)
    (watched.folder / "2").mkdir()
    (watched.folder / "3.tmp").mkdir()
    (watched.folder / str(2**63)).mkdir()
    (watched.folder / str(2**63) / "saved_model.pb").touch()
    (watched.folder / "4").touch()
    assert watched.poll() == {1}
    assert watched.loads == [1]


def test_the_pinned_version_is_served_while_it_is_pinned(watched: Watched) -> None:
    watched.push(1)
    watched.push(2)
    assert watched.poll() == {2}
    watched.pin(1)
    assert watched.poll() == {1}
    watched.push(3)
    assert watched.poll() == {1}
    watched.pin(None)
    assert watched.poll() == {3}
    assert watched.loads == [2, 1, 3]


def test_a_pinned_version_that_is_gone_or_bad_gives_way_to_the_one_before(
    watched: Watched,
) -> None:
    for number in (1, 2, 4):
        watched.push(number)
    watched.push(3, "bad")
    watched.pin(3)
    assert watched.poll() == {2}
    watched.delete(2)
    watched.delete(3)
    assert watched.poll() == {1}


def test_a_version_that_was_rolled_back_from_has_failed_no_more(watched: Watched) -> None:
    """It is not to be served, so nobody has to be woken for it."""
    watched.push(1)
    watched.push(2, "bad")
    assert watched.poll() == {1}
    assert watched.watcher.failed() == [2]
    watched.pin(1)
    assert watched.poll() == {1}
    assert watched.watcher.failed() == []
    watched.pin(2)
    watched.poll()
    assert watched.watcher.failed() == [2]
    watched.pin(None)
    watched.push(3)
    assert watched.poll() == {3}
    assert watched.watcher.failed() == []


def test_a_labelled_version_above_the_pin_answers_its_label_alone(tmp_path: Path) -> None:
    watched = Watched(tmp_path, labelled=(2,))
    watched.push(1)
    watched.push(2)
    watched.poll()
    assert watched.served.newest() == 2
    watched.pin(1)
    assert watched.poll() == {1, 2}
    assert watched.served.newest() == 1
    with watched.served.lease(None) as version:
        assert version is not None
        assert version.number == 1


def test_a_damaged_pin_changes_nothing(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.push(1)
    watched.push(2)
    watched.pin(1)
    assert watched.poll() == {1}
    (watched.folder / PIN_FILE).write_text("half")
    assert watched.poll() == {1}
    assert f"{watched.folder / PIN_FILE}: damaged" in caplog.text


def test_a_bad_version_leaves_the_one_before_and_is_tried_again_when_it_changes(
    watched: Watched,
) -> None:
    watched.push(1)
    watched.poll()
    folder = watched.push(2, "bad")
    for _ in range(3):
        assert watched.poll() == {1}
    assert watched.loads == [1, 2]
    assert watched.state(2).state == State.END
    assert watched.state(2).status.error_message == "it is bad"
    os.utime(folder / "saved_model.pb", (1, 1))
    watched.poll()
    assert watched.loads == [1, 2, 2]
    watched.push(2, "good")
    assert watched.poll() == {2}
    assert not watched.state(2).status.error_message


def test_a_version_is_tried_again_after_a_while_a_few_times(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.push(1)
    watched.push(2, "gone")
    now = 1_000.0
    monkeypatch.setattr(version_watcher, "time", SimpleNamespace(monotonic=lambda: now))
    assert watched.poll() == {1}
    for _ in range(7):
        tried = len(watched.loads)
        now += 59
        assert watched.poll() == {1}
        assert len(watched.loads) == tried
        now += 2
        assert watched.poll() == {1}
    assert watched.loads == [2, 1, *[2] * 5]
    assert watched.state(2).state == State.END
    watched.push(2, "gone for now")
    assert watched.poll() == {2}


def test_what_kept_a_version_from_being_loaded_may_be_gone(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.push(1)
    watched.push(2)
    now = 1_000.0
    monkeypatch.setattr(version_watcher, "time", SimpleNamespace(monotonic=lambda: now))
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Version, "__init__", _no_more_open_files)
        assert watched.poll() == set()
    now += 61
    assert watched.poll() == {2}


def test_at_first_the_newest_that_loads(watched: Watched) -> None:
    for number, word in ((1, "good"), (2, "good"), (3, "bad")):
        watched.push(number, word)
    assert watched.poll() == {2}
    assert watched.loads == [3, 2]


def test_when_the_newest_is_deleted_the_highest_left_is_back(watched: Watched) -> None:
    watched.push(1)
    watched.push(2)
    watched.poll()
    watched.delete(2)
    assert watched.poll() == {1}
    assert watched.changes == [{2}, {1}]


def test_when_all_are_gone_the_last_one_stays(watched: Watched) -> None:
    watched.push(1)
    watched.poll()
    watched.delete(1)
    assert watched.poll() == {1}
    watched.folder.rmdir()
    assert watched.poll() == {1}
    assert watched.changes == [{1}]


def test_labelled_versions_are_kept_beside_the_newest(tmp_path: Path) -> None:
    watched = Watched(tmp_path, labelled=(1, 7))
    for number in (1, 2, 3):
        watched.push(number)
    assert watched.poll() == {1, 3}
    watched.push(4)
    assert watched.poll() == {1, 4}
    watched.delete(1)
    assert watched.poll() == {4}
    watched.push(7)
    watched.push(8)
    assert watched.poll() == {7, 8}


def test_a_version_with_a_request_in_hand_is_unloaded_after_it(watched: Watched) -> None:
    watched.push(1)
    watched.poll()
    with watched.served.lease(None) as version:
        assert version is not None
        watched.push(2)
        watched.poll()
        assert watched.state(1).state == State.UNLOADING
        with watched.served.lease(1) as again:
            assert again is None
        assert not version.closed  # type: ignore[attr-defined]
    watched.poll()
    assert version.closed  # type: ignore[attr-defined]
    assert watched.state(1).state == State.END


def test_a_request_that_fails_gives_its_version_back(watched: Watched) -> None:
    watched.push(1)
    watched.poll()
    with pytest.raises(ZeroDivisionError), watched.served.lease(1):
        raise ZeroDivisionError
    watched.served.retire(1)
    assert watched.served.unload_idle() == [1]


def test_no_version_of_a_number_that_is_not_served(watched: Watched) -> None:
    for number in (None, 1, -1):
        with watched.served.lease(number) as version:
            assert version is None


def test_the_thread_looks_until_it_is_stopped(watched: Watched) -> None:
    watched.push(1)
    watched.watcher.start(poll_seconds=0.01)
    while not watched.changes:
        time.sleep(0.001)
    assert watched.watcher.stop(SECONDS)
    watched.push(2)
    assert watched.served.numbers() == {1}
    assert watched.watcher.stop(SECONDS)


def test_a_version_whose_loading_breaks_down_keeps_no_other_from_being_served(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.push(1)
    watched.push(2, "gone")
    assert watched.poll() == {1}
    assert watched.state(2).state == State.END
    assert watched.state(2).status.error_message == "OSError: it is gone"
    assert "Traceback" in caplog.text
    watched.push(3)
    assert watched.poll() == {3}
    assert watched.loads == [2, 1, 3]


def test_the_thread_survives_a_look_that_fails(
    watched: Watched, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [ZeroDivisionError("once"), ZeroDivisionError("twice")]
    retire = watched.served.retire

    def failing(number: int) -> None:
        if failures:
            raise failures.pop(0)
        retire(number)

    monkeypatch.setattr(watched.served, "retire", failing)
    watched.push(1)
    watched.watcher.start(poll_seconds=0.01)
    wait_until(lambda: watched.changes == [{1}])
    watched.push(2)
    wait_until(lambda: watched.served.numbers() == {2})
    assert watched.watcher.stop(SECONDS)
    assert caplog.text.count("Traceback") == 2
    assert "twice" in caplog.text


def test_a_version_that_is_being_loaded_is_not_waited_for(watched: Watched) -> None:
    held = watched.hold[1] = threading.Event()
    watched.push(1)
    watched.watcher.start(poll_seconds=0.01)
    wait_until(lambda: watched.loads == [1])
    assert not watched.watcher.stop(0)
    held.set()
    assert watched.watcher.stop(SECONDS)


def test_a_version_that_loads_slowly_delays_no_newer_one(watched: Watched) -> None:
    watched.push(1)
    watched.poll()
    held = watched.hold[2] = threading.Event()
    watched.push(2)
    watched.poll_until(lambda: 2 in watched.loads)
    watched.push(3)
    watched.poll_until(lambda: watched.served.numbers() == {3})
    assert watched.state(2).state == State.LOADING
    assert watched.state(1).state == State.END
    held.set()
    watched.poll_until(lambda: watched.state(2).state == State.END)
    assert watched.served.numbers() == {3}
    assert watched.loads == [1, 2, 3]


def test_a_version_that_loads_slowly_delays_no_labelled_one(tmp_path: Path) -> None:
    watched = Watched(tmp_path, labelled=(1, 2))
    for number in (1, 2, 3):
        watched.push(number)
        watched.hold[number] = threading.Event()
    watched.watcher.poll()
    wait_until(lambda: sorted(watched.loads) == [1, 2, 3])
    for number, served in ((2, {2}), (3, {2, 3}), (1, {1, 2, 3})):
        watched.hold[number].set()
        watched.poll_until(lambda served=served: watched.served.numbers() == served)


def test_while_one_is_loaded_an_older_one_is_neither_loaded_nor_unloaded(watched: Watched) -> None:
    watched.push(1)
    watched.poll()
    held = watched.hold[3] = threading.Event()
    watched.push(3)
    watched.poll_until(lambda: 3 in watched.loads)
    watched.push(2)
    for _ in range(3):
        watched.watcher.poll()
    assert watched.served.numbers() == {1}
    assert watched.loads == [1, 3]
    held.set()
    assert watched.poll() == {3}


def test_a_server_starts_with_an_older_version_if_the_newest_is_slow(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_watcher, "SLOW_SECONDS", 0.0)
    watched.push(1)
    held = watched.hold[2] = threading.Event()
    watched.push(2)
    assert watched.poll() == {1}
    held.set()
    watched.poll_until(lambda: watched.served.numbers() == {2})


def test_a_server_waits_for_the_newest_version_if_it_is_not_slow(watched: Watched) -> None:
    watched.push(1)
    held = watched.hold[2] = threading.Event()
    watched.push(2)
    threading.Timer(0.1, held.set).start()
    assert watched.poll() == {2}
    assert watched.loads == [2]


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (tf.errors.DataLossError(None, None, "cut off"), grpc.StatusCode.DATA_LOSS),
        (tf.errors.NotFoundError(None, None, "no file"), grpc.StatusCode.NOT_FOUND),
        (invalid("a warm-up request"), grpc.StatusCode.INVALID_ARGUMENT),
        (DecodeError("cut off"), grpc.StatusCode.DATA_LOSS),
        (FileNotFoundError("no file"), grpc.StatusCode.NOT_FOUND),
        (PermissionError("not yours"), grpc.StatusCode.PERMISSION_DENIED),
        (None, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_a_version_that_does_not_load_has_the_code_of_the_reason(
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    cause: Exception | None,
    code: grpc.StatusCode,
) -> None:
    def unreadable(*_: object) -> None:
        raise UnreadableModelError("it is bad") from cause

    monkeypatch.setattr(Version, "__init__", unreadable)
    watched.push(1)
    watched.poll()
    assert watched.state(1).status.error_code == code.value[0]


@pytest.mark.parametrize("text", ["{folder}: no model", "cannot read '{folder}/a/b'", "in /x/y/z"])
def test_no_path_of_the_server_is_in_a_state(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    folder = watched.push(1)

    def unreadable(*_: object) -> None:
        raise UnreadableModelError(text.format(folder=folder))

    monkeypatch.setattr(Version, "__init__", unreadable)
    watched.poll()
    assert "/" not in watched.state(1).status.error_message.replace("1/a/b", "")
    # The operator needs it.
    assert text.format(folder=folder) in caplog.text


def test_links_and_the_shortest_of_several_names(watched: Watched, tmp_path: Path) -> None:
    target = watched.push(1).rename(tmp_path / "stored")
    (watched.folder / "5").symlink_to(target)
    (watched.folder / "9").symlink_to(tmp_path / "nowhere")
    assert watched.poll() == {5}
    for name, word in (("006", "gone"), ("06", "good"), ("-7", "good")):
        (watched.folder / name).mkdir()
        (watched.folder / name / "saved_model.pb").write_text(word)
    assert watched.poll() == {6}


def test_a_link_that_leads_nowhere_inside_a_version_is_none_of_the_servers_business(
    watched: Watched,
) -> None:
    (watched.push(1) / "notes").symlink_to("nowhere")
    assert watched.poll() == {1}


def test_old_ends_are_forgotten() -> None:
    states = VersionStates()
    states.available(1)
    for number in range(2, 1002):
        states.failed(number, 2, "bad")
    numbers = [status.version for status in states.all()]
    assert numbers[0] == 1001
    assert numbers[-1] == 1
    assert len(numbers) == 101
