import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from serving.client import RecommenderClient
from serving.errors import ServerUnavailableError, ServingError
from serving.launch import candidate_server as module
from serving.launch import readiness
from serving.launch.candidate_server import CandidateServer, candidate_server
from serving.server_options import ServerOptions, WantedServer
from tests.serving.asking import wait_until
from tests.serving.doubling import save_doubling
from tests.serving.fake_programs import ROOT, FakePrograms
from tests.serving.pushed_versions import available, push, refused

SECONDS = 60.0


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, by this process and those that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> FakePrograms:
    made = FakePrograms(tmp_path / "programs")
    made.status(available(1))
    return made


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """A folder that is named as the Trainer names it, not by a number."""
    return push(tmp_path, 7).joinpath("7").rename(tmp_path / "Format-Serving")


@pytest.fixture(scope="module")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doubling") / "Format-Serving"
    save_doubling(folder)
    return folder


def answers(address: str) -> bool:
    host, port = address.split(":")
    try:
        if host == "unix":
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(port)
        else:
            socket.create_connection((host, int(port))).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    return True


def served(server: CandidateServer) -> list[int]:
    return readiness.served_versions(server.address, ServerOptions("films", Path("unused")))


def test_the_binary_serves_the_candidate_as_version_1(
    programs: FakePrograms, candidate: Path, temporary: Path
) -> None:
    binary = programs.add_binary()
    with candidate_server(candidate, "films", startup_seconds=SECONDS, binary=binary) as server:
        assert server.kind == "tensorflow_model_server"
        assert served(server) == [1]
        (config,) = programs.configs()
        text = (Path(config) / "models.config").read_text()
        (link,) = temporary.glob("*/films/1")
        assert answers(server.address)
        assert str(link.parent) in text
        assert link.resolve() == candidate
    assert not answers(server.address)
    assert list(temporary.iterdir()) == []
    assert (candidate / "saved_model.pb").exists()


def test_the_binary_listens_to_a_socket_alone(programs: FakePrograms, candidate: Path) -> None:
    binary = programs.add_binary()
    with candidate_server(candidate, "films", startup_seconds=SECONDS, binary=binary) as server:
        path = Path(server.address.removeprefix("unix:"))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        (arguments,) = programs.calls("tensorflow_model_server")
        assert {"--port=0", f"--grpc_socket_path={path}"} < set(arguments)
        assert not any(argument.startswith("--rest_api_port") for argument in arguments)
    assert not path.parent.exists()


def test_clients_take_the_address_of_a_socket(programs: FakePrograms, candidate: Path) -> None:
    binary = programs.add_binary()
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "films"
    with (
        candidate_server(candidate, "films", startup_seconds=SECONDS, binary=binary) as server,
        grpc.insecure_channel(server.address) as channel,
        RecommenderClient(server.address, "films") as client,
    ):
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        assert stub.GetModelStatus(request, timeout=SECONDS) == available(1)
        assert [status.version for status in client.model_status()] == [1]


@pytest.mark.parametrize("name", ["long" * 25, "with space", "100%"])
def test_a_socket_is_made_where_its_path_can_be_one(
    programs: FakePrograms,
    candidate: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    folder = temporary / name
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    binary = programs.add_binary()
    with candidate_server(candidate, "films", startup_seconds=SECONDS, binary=binary) as server:
        assert served(server) == [1]
        assert not server.address.startswith(f"unix:{folder}")
    assert list(folder.iterdir()) == []


def test_the_binary_on_path_comes_first(
    programs: FakePrograms, candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add_binary()
    monkeypatch.setenv("PATH", str(programs.bin))
    with candidate_server(candidate, "films", startup_seconds=SECONDS) as server:
        assert server.kind == "tensorflow_model_server"


def test_docker_is_refused(candidate: Path) -> None:
    with (
        pytest.raises(
            ServingError, match="a candidate is not tried in Docker: expected the server"
        ),
        candidate_server(candidate, "films", startup_seconds=SECONDS, wanted=WantedServer.DOCKER),
    ):
        pass


def test_what_the_body_raises_ends_it_too(
    programs: FakePrograms, candidate: Path, temporary: Path
) -> None:
    binary = programs.add_binary()
    with (
        pytest.raises(KeyError),
        candidate_server(candidate, "films", startup_seconds=SECONDS, binary=binary) as server,
    ):
        raise KeyError
    assert not answers(server.address)
    assert list(temporary.iterdir()) == []


def test_the_reason_of_a_binary_that_ends(
    programs: FakePrograms, candidate: Path, temporary: Path
) -> None:
    binary = programs.add_binary(log=["Failed to start server. Error: no such op"], exit_code=255)
    with (
        pytest.raises(ServingError) as error,
        candidate_server(candidate, "films", startup_seconds=SECONDS, binary=binary),
    ):
        pass
    assert str(error.value) == (
        f"{candidate}: tensorflow_model_server ended by itself (exit code 255): "
        "Failed to start server. Error: no such op"
    )
    assert list(temporary.iterdir()) == []


def test_the_reason_of_a_binary_that_goes_on_without_the_model(
    programs: FakePrograms, candidate: Path
) -> None:
    programs.status(refused(1, "no such op"))
    binary = programs.add_binary()
    with (
        pytest.raises(ServingError, match="films: the model server cannot load it: no such op"),
        candidate_server(candidate, "films", startup_seconds=SECONDS, binary=binary),
    ):
        pass


def test_a_binary_that_never_answers(
    programs: FakePrograms, candidate: Path, temporary: Path
) -> None:
    binary = programs.add_binary(deaf=True)
    with (
        pytest.raises(ServerUnavailableError, match=r"not up after .* expected at most 3 s"),
        candidate_server(candidate, "films", startup_seconds=3, binary=binary),
    ):
        pass
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("busy", [True, False])
def test_a_server_that_gets_little_of_the_processor_is_waited_for(
    candidate: Path, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    """It needs 3 s where 1 s is allowed; whether it is idle meanwhile decides."""
    code = 'import time; time.sleep(3); print(\'{"address": "somewhere"}\', flush=True); input()'
    monkeypatch.setattr(module, "PROCESS_COMMAND", [sys.executable, "-c", code])
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 0.1)
    # As if the machine left it a quarter of the processor, or it waited for something.
    began = time.monotonic()
    monkeypatch.setattr(
        module, "processor_seconds", lambda *_: busy * (time.monotonic() - began) / 4
    )
    expected = nullcontext() if busy else pytest.raises(ServerUnavailableError)
    with (
        expected,
        candidate_server(
            candidate, "films", startup_seconds=1, wanted=WantedServer.EMBEDDED
        ) as server,
    ):
        assert server.address == "somewhere"


def test_a_server_that_uses_all_the_time_and_does_not_come_up(
    candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROCESS_COMMAND", [sys.executable, "-c", "while True: pass"])
    # It does not end by itself either.
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.5)
    monkeypatch.setattr(module, "_MARGIN_SECONDS", 0.5)
    with (
        pytest.raises(ServerUnavailableError, match="expected at most 1 s"),
        candidate_server(candidate, "films", startup_seconds=1, wanted=WantedServer.EMBEDDED),
    ):
        pass


@pytest.mark.parametrize(("number", "passing"), [("SIGKILL", True), ("SIGSEGV", False)])
def test_a_server_that_was_killed_says_nothing_about_the_model(
    candidate: Path, monkeypatch: pytest.MonkeyPatch, number: str, passing: bool
) -> None:
    """A crash does: it would crash again."""
    code = f"import os, signal; os.kill(os.getpid(), signal.{number})"
    monkeypatch.setattr(module, "PROCESS_COMMAND", [sys.executable, "-c", code])
    with (
        pytest.raises(ServingError) as error,
        candidate_server(candidate, "films", startup_seconds=SECONDS, wanted=WantedServer.EMBEDDED),
    ):
        pass
    assert isinstance(error.value, ServerUnavailableError) == passing


def test_a_binary_that_is_not_there(candidate: Path, temporary: Path) -> None:
    absent = temporary / "absent"
    with (
        pytest.raises(ServingError, match=f"--binary {absent}: expected an executable file"),
        candidate_server(candidate, "films", startup_seconds=SECONDS, binary=absent),
    ):
        pass


def test_it_does_not_outlive_a_parent_that_is_killed(
    programs: FakePrograms, candidate: Path
) -> None:
    binary = programs.add_binary(stubborn=True)
    command = [sys.executable, "-m", "tests.serving.candidate_parent", str(candidate), str(binary)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().strip()
        assert answers(address)
        parent.kill()
    wait_until(lambda: not answers(address))


def test_a_server_that_ends_the_process_itself(
    candidate: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    code = "import sys, os; print('noise', file=sys.stderr); os.abort()"
    monkeypatch.setattr(module, "PROCESS_COMMAND", [sys.executable, "-c", code])
    with (
        pytest.raises(ServingError) as error,
        candidate_server(candidate, "films", startup_seconds=SECONDS, wanted=WantedServer.EMBEDDED),
    ):
        pass
    assert str(error.value) == f"{candidate}: the model server ended (exit code -6): noise"
    assert list(temporary.iterdir()) == []


def test_the_embedded_server_where_there_is_no_binary(
    programs: FakePrograms, doubling: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(programs.bin))
    with candidate_server(doubling, "films", startup_seconds=SECONDS) as server:
        assert server.kind == "embedded"
        assert served(server) == [1]
    assert not answers(server.address)
    assert list(temporary.iterdir()) == []


def test_a_damaged_candidate_is_refused_by_the_embedded_server(
    candidate: Path, temporary: Path
) -> None:
    (candidate / "saved_model.pb").write_bytes(b"damaged")
    with (
        pytest.raises(ServingError, match=r"Format-Serving: .*[Pp]arse") as error,
        candidate_server(candidate, "films", startup_seconds=SECONDS, wanted=WantedServer.EMBEDDED),
    ):
        pass
    assert "\n" not in str(error.value)
    assert list(temporary.iterdir()) == []
