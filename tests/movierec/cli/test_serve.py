import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme

from tests import processes
from tests.movierec.cli.command import COMMAND, assert_refused, movierec
from tests.serving.asking import wait_until
from tests.serving.doubling import save_doubling
from tests.serving.fake_programs import FakePrograms
from tests.serving.hostile_models import HOSTILE
from tests.serving.hostile_models import save as save_hostile
from tests.serving.pushed_versions import available, push


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    made = FakePrograms(tmp_path / "programs")
    made.status(available(12))
    monkeypatch.setenv("PATH", str(made.bin))
    return made


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    push(tmp_path / "w" / "serving" / "movierec", 3, 12)
    return tmp_path / "w"


@pytest.fixture
def tls(tmp_path: Path) -> list[str]:
    """Arguments with which a server lets in only clients that it knows."""
    authority = trustme.CA()
    issued = authority.issue_cert("films.example")
    key, certificate, client_authority = (tmp_path / f"{name}.pem" for name in ("k", "c", "a"))
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(certificate)
    authority.cert_pem.write_to_path(client_authority)
    return [
        f"--tls-key={key}",
        f"--tls-certificate={certificate}",
        f"--tls-client-authority={client_authority}",
    ]


@contextmanager
def serving(workspace: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Asked to end at the end, so that it clears up."""
    with subprocess.Popen(
        [*COMMAND, "serve", "--workspace", str(workspace), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            finally:
                process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_line_then_a_signal_ends_it_with_exit_code_0(
    programs: FakePrograms, workspace: Path, number: signal.Signals
) -> None:
    programs.add_docker()
    with serving(workspace, "--port", "0") as process:
        said = line(process)
        assert said.startswith(
            "tensorflow/serving:2.21.0 in Docker serves movierec, version 12, at 127.0.0.1:"
        )
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_signal_before_the_server_answers_is_told(
    programs: FakePrograms, workspace: Path
) -> None:
    programs.add_binary(deaf=True)
    with serving(workspace, "--port", "0") as process:
        wait_until(lambda: bool(programs.calls("tensorflow_model_server")))
        process.terminate()
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "")
    assert errors == "movierec: stopped by a signal before the server answered\n"


def test_every_option_reaches_the_server(programs: FakePrograms, workspace: Path) -> None:
    binary = programs.add_binary().rename(workspace / "server")
    push(workspace / "serving" / "films", 5)
    programs.status(available(5))
    arguments = ["--host", "0.0.0.0", "--port", "0", "--metrics-port", "0", "--label", "stable=5"]
    with serving(
        workspace, *arguments, "--model-name", "films", "--binary", str(binary)
    ) as process:
        said = line(process)
    assert said.startswith("tensorflow_model_server serves films, version 5, at 0.0.0.0:")
    assert said.endswith("/metrics\n")
    (given,) = programs.calls("tensorflow_model_server")
    assert "--allow_version_labels_for_unavailable_models=true" in given


def test_rest_is_in_front_of_whichever_server(programs: FakePrograms, workspace: Path) -> None:
    programs.add_binary()
    with serving(workspace, "--port", "0", "--rest-port", "0") as process:
        said = line(process)
        found = re.search(r"REST at (http://127\.0\.0\.1:\d+/v1/models/movierec)\n", said)
        assert found, said
        (status,) = httpx.get(found[1], timeout=60).json()["model_version_status"]
        assert (status["version"], status["state"]) == ("12", "AVAILABLE")
        process.terminate()
        rest, errors = process.communicate(timeout=60)
    assert said.startswith("tensorflow_model_server serves movierec, version 12, at 127.0.0.1:")
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_server_that_batches_every_signature_warns_on_standard_error(
    programs: FakePrograms, workspace: Path
) -> None:
    programs.add_binary()
    arguments = ["--server", "binary", "--port", "0", "--batching"]
    with serving(workspace, *arguments) as process:
        said = line(process)
        process.terminate()
        rest, errors = process.communicate(timeout=60)
    assert said.startswith("tensorflow_model_server serves movierec, version 12, at 127.0.0.1:")
    assert (process.returncode, rest) == (0, "")
    (warning,) = errors.splitlines()
    assert "WARNING TensorFlow Serving batches the calls of every signature" in warning


def test_a_server_that_ends_by_itself_is_one_line(programs: FakePrograms, workspace: Path) -> None:
    programs.add_binary(log=["Failed to start server."], exit_code=255)
    with serving(workspace, "--port", "0") as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert errors == (
        "movierec: tensorflow_model_server ended by itself (exit code 255): "
        "Failed to start server.\n"
    )


def test_a_server_that_is_killed_later_is_told(programs: FakePrograms, workspace: Path) -> None:
    programs.add_binary()
    with serving(workspace, "--port", "0") as process:
        line(process)
        os.kill(programs.processes("tensorflow_model_server")[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors == ("movierec: tensorflow_model_server ended by itself (SIGKILL): no output\n")


@pytest.mark.parametrize(
    ("program", "add"),
    [
        ("tensorflow_model_server", FakePrograms.add_binary),
        ("docker", FakePrograms.add_docker),
    ],
)
def test_the_server_ends_with_a_command_that_is_killed(
    programs: FakePrograms, workspace: Path, program: str, add: Callable[[FakePrograms], Path]
) -> None:
    add(programs)
    with serving(workspace, "--port", "0") as process:
        line(process)
        server = programs.processes(program)[-1]
        assert processes.runs(server)
        process.kill()
        wait_until(lambda: not processes.runs(server))


def test_the_embedded_server_serves_what_loads(
    programs: FakePrograms, workspace: Path, tls: list[str]
) -> None:
    folder = workspace / "serving" / "films"
    save_doubling(folder / "3")
    (damaged,) = push(folder, 12).glob("12/saved_model.pb")
    damaged.write_bytes(b"damaged")
    arguments = ["--model-name", "films", "--port", "0", "--metrics-port", "0", "--batching"]
    with serving(workspace, *arguments, *tls) as process:
        said = line(process)
        process.terminate()
        rest, errors = process.communicate(timeout=60)
    assert said.startswith("the embedded server serves films, version 3, at 127.0.0.1:")
    assert said.endswith("/metrics\n")
    assert (process.returncode, rest) == (0, "")
    assert "WARNING version 12 is not served: " in errors


@pytest.mark.slow
def test_without_the_image_of_docker_the_embedded_server_takes_its_place(
    programs: FakePrograms, workspace: Path
) -> None:
    programs.add_docker(no_image="toomanyrequests: try again later")
    save_doubling(workspace / "serving" / "films" / "3")
    with serving(workspace, "--model-name", "films", "--port", "0") as process:
        said = line(process)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert said.startswith("the embedded server serves films, version 3, at 127.0.0.1:")
    assert process.returncode == 0
    (warning,) = (text for text in errors.splitlines() if "WARNING" in text)
    assert "toomanyrequests: try again later" in warning
    assert "the embedded server takes its place" in warning


def test_an_embedded_server_that_does_not_come_up_is_one_line(
    programs: FakePrograms, workspace: Path
) -> None:
    with serving(workspace, "--port", "0") as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith(f"movierec: {workspace}/serving/movierec: no version can be served")
    assert len(errors.splitlines()) == 1


@pytest.mark.slow
def test_ops_of_a_version_are_checked_unless_told_otherwise(
    programs: FakePrograms, workspace: Path
) -> None:
    save_hostile(workspace / "serving" / "films" / "3", HOSTILE["ReadFile"])
    arguments = ["--model-name", "films", "--port", "0"]
    with serving(workspace, *arguments) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert "version 3: " in errors
    assert "the model holds ReadFile;" in errors
    assert len(errors.splitlines()) == 1
    with serving(workspace, *arguments, "--no-check-ops") as process:
        said = line(process)
    assert said.startswith("the embedded server serves films, version 3, at 127.0.0.1:")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model-name", "films"], "/serving/films: "),
        (["--label", "stable"], "--label stable: "),
        (["--label", "stable=new"], "--label stable=new: "),
        (["--label", "stable=4"], "3, 12"),
        (["--tls-key", "key.pem"], "--tls-certificate"),
        (["--tls-client-authority", "ca.pem"], "--tls-certificate"),
        (["--server", "docker"], "docker"),
        (["--server", "binary"], "PATH"),
        (["--server", "binary", "--metrics-port", "0"], "metrics"),
        (["--server", "fast"], "fast"),
        (["--port", "65536"], "--port"),
        (["--host", "no.such.host.invalid"], "host no.such.host.invalid"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(
    programs: FakePrograms, workspace: Path, arguments: list[str], message: str
) -> None:
    assert_refused(movierec("serve", "--workspace", str(workspace), *arguments), message)
