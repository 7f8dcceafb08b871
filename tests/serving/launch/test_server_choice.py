import itertools
from pathlib import Path
from typing import Any

import pytest

from serving.errors import ServingError
from serving.launch import server_choice
from serving.launch.server_choice import Binary, Docker, Embedded
from serving.server_options import (
    BatchingOptions,
    RequestLogOptions,
    ServerOptions,
    WantedServer,
)
from serving.tls import ServerTls
from tests.serving.fake_programs import FakePrograms

TLS = ServerTls(Path("key.pem"), Path("certificate.pem"))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    """Nothing else is on PATH."""
    made = FakePrograms(tmp_path)
    monkeypatch.setenv("PATH", str(made.bin))
    return made


def options(**given: Any) -> ServerOptions:
    return ServerOptions("films", Path("unused"), **given)


def test_the_embedded_server_where_there_is_nothing_else(programs: FakePrograms) -> None:
    assert server_choice.choose(WantedServer.AUTO, options()) == Embedded()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::"])
def test_the_binary_comes_first(programs: FakePrograms, host: str) -> None:
    binary = programs.add_binary()
    programs.add_docker()
    assert server_choice.choose(WantedServer.AUTO, options(host=host)) == Binary(binary)
    assert server_choice.choose(WantedServer.AUTO, options(host=host, tls=TLS)) == Binary(binary)


def test_a_binary_that_is_passed_over_is_named_with_the_reason(
    programs: FakePrograms, caplog: pytest.LogCaptureFixture
) -> None:
    asked = options(metrics_port=0)
    server_choice.choose(WantedServer.AUTO, asked)
    binary = programs.add_binary()
    server_choice.choose(WantedServer.AUTO, options())
    server_choice.choose(WantedServer.EMBEDDED, asked)
    everywhere = options(host="0.0.0.0", metrics_port=0)
    assert server_choice.choose(WantedServer.AUTO, everywhere) == Binary(binary)
    assert not caplog.records
    assert server_choice.choose(WantedServer.AUTO, asked) == Embedded()
    programs.add_docker()
    assert server_choice.choose(WantedServer.AUTO, asked) == Docker()
    first, second = caplog.records
    assert first.levelname == "WARNING"
    assert first.getMessage().startswith(f"{binary} is passed over: ")
    assert "not on 127.0.0.1 alone" in first.getMessage()
    assert second.getMessage() == first.getMessage()


def test_a_request_log_is_written_by_the_embedded_server_alone(programs: FakePrograms) -> None:
    programs.add_binary()
    programs.add_docker()
    asked = options(request_log=RequestLogOptions(Path("log")))
    assert server_choice.choose(WantedServer.AUTO, asked) == Embedded()
    for wanted in (WantedServer.BINARY, WantedServer.DOCKER):
        with pytest.raises(ServingError, match="--request-log"):
            server_choice.choose(wanted, asked)


def test_docker_that_does_not_answer_is_passed_over(programs: FakePrograms) -> None:
    programs.add_docker(down="Cannot connect to the Docker daemon")
    assert server_choice.choose(WantedServer.AUTO, options()) == Embedded()
    with pytest.raises(ServingError, match="Cannot connect to the Docker daemon; start Docker"):
        server_choice.choose(WantedServer.DOCKER, options())


def test_docker_that_is_not_there(programs: FakePrograms) -> None:
    with pytest.raises(ServingError, match="docker cannot be run: No such file or directory"):
        server_choice.choose(WantedServer.DOCKER, options())


def test_batching_is_embedded_unless_another_server_is_asked_for(programs: FakePrograms) -> None:
    binary = programs.add_binary()
    programs.add_docker()
    asked = options(batching=BatchingOptions())
    assert server_choice.choose(WantedServer.AUTO, asked) == Embedded()
    assert server_choice.choose(WantedServer.AUTO, asked, binary) == Binary(binary)
    assert server_choice.choose(WantedServer.BINARY, asked) == Binary(binary)
    assert server_choice.choose(WantedServer.DOCKER, asked) == Docker()


def test_what_tensorflow_serving_cannot_do_is_embedded_or_refused(programs: FakePrograms) -> None:
    programs.add_binary()
    programs.add_docker()
    for host, wanted in itertools.product(
        ("127.0.0.1", "0.0.0.0"), (WantedServer.BINARY, WantedServer.DOCKER)
    ):
        asked = options(host=host, tls=TLS, metrics_port=0)
        assert server_choice.choose(WantedServer.AUTO, asked) == Embedded()
        with pytest.raises(ServingError, match="answers predictions in the clear"):
            server_choice.choose(wanted, asked)


def test_tls_or_metrics_alone_are_no_objection(programs: FakePrograms) -> None:
    programs.add_docker()
    assert server_choice.choose(WantedServer.AUTO, options(tls=TLS)) == Docker()
    assert server_choice.choose(WantedServer.AUTO, options(metrics_port=0)) == Docker()


@pytest.mark.parametrize("wanted", [WantedServer.AUTO, WantedServer.BINARY])
def test_a_binary_that_is_given_is_taken_or_refused_but_not_passed_over(
    programs: FakePrograms, wanted: WantedServer, tmp_path: Path
) -> None:
    binary = programs.add_binary().rename(tmp_path / "elsewhere")
    assert server_choice.choose(wanted, options(), binary) == Binary(binary)
    with pytest.raises(ServingError, match=r"every interface, not on 127\.0\.0\.1 alone"):
        server_choice.choose(wanted, options(metrics_port=0), binary)
    binary.chmod(0o644)
    with pytest.raises(ServingError, match=f"--binary {binary}: expected an executable file"):
        server_choice.choose(wanted, options(), binary)


def test_a_binary_that_is_nowhere(programs: FakePrograms) -> None:
    with pytest.raises(ServingError, match="tensorflow_model_server is not on PATH: give --binary"):
        server_choice.choose(WantedServer.BINARY, options())


def test_a_binary_contradicts_the_other_servers(programs: FakePrograms) -> None:
    for wanted in (WantedServer.DOCKER, WantedServer.EMBEDDED):
        with pytest.raises(ServingError, match=f"given {wanted.value}"):
            server_choice.choose(wanted, options(), Path("tensorflow_model_server"))


def test_a_candidate_is_tried_in_the_binary_else_in_our_own(
    programs: FakePrograms, tmp_path: Path
) -> None:
    programs.add_docker()
    choose = server_choice.choose_for_candidate
    assert choose(WantedServer.AUTO) == Embedded()
    with pytest.raises(ServingError, match="not on PATH"):
        choose(WantedServer.BINARY)
    found = programs.add_binary()
    given = tmp_path / "given"
    given.touch(0o755)
    assert choose(WantedServer.AUTO) == choose(WantedServer.BINARY) == Binary(found)
    assert choose(WantedServer.AUTO, given) == choose(WantedServer.BINARY, given) == Binary(given)
    assert choose(WantedServer.EMBEDDED) == Embedded()


def test_a_candidate_is_not_tried_in_docker_nor_a_binary_embedded(programs: FakePrograms) -> None:
    programs.add_docker()
    with pytest.raises(ServingError, match="not tried in Docker: expected the server auto"):
        server_choice.choose_for_candidate(WantedServer.DOCKER)
    with pytest.raises(ServingError, match="given embedded"):
        server_choice.choose_for_candidate(WantedServer.EMBEDDED, Path("given"))


def test_the_embedded_server_can_be_asked_for(programs: FakePrograms) -> None:
    programs.add_binary()
    programs.add_docker()
    assert server_choice.choose(WantedServer.EMBEDDED, options()) == Embedded()
