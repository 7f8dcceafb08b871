import os
import signal
import socket
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving import ports, version_locks
from serving.errors import ServingError
from serving.launch import launcher, readiness
from serving.launch.launcher import Started
from serving.server_options import BatchingOptions, ServerOptions, WantedServer
from serving.shutdown import STOP_SIGNALS
from serving.tls import ServerTls
from serving.version_pin import PIN_FILE, Pin
from tests.serving.asking import wait_until
from tests.serving.fake_programs import FakePrograms
from tests.serving.pushed_versions import available, push, refused


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    made = FakePrograms(tmp_path / "programs")
    made.status(available(12))
    monkeypatch.setenv("PATH", str(made.bin))
    return made


@pytest.fixture
def options(tmp_path: Path) -> ServerOptions:
    base_path = push(tmp_path / "films", 3, 12)
    return ServerOptions("films", base_path, port=0, drain_seconds=2)


@pytest.fixture
def everywhere(options: ServerOptions) -> ServerOptions:
    return replace(options, host="0.0.0.0")


@pytest.fixture
def tls(tmp_path: Path) -> ServerTls:
    authority = trustme.CA()
    issued = authority.issue_cert("films.example")
    files = [tmp_path / name for name in ("key.pem", "certificate.pem", "authority.pem")]
    issued.private_key_pem.write_to_path(files[0])
    issued.cert_chain_pems[0].write_to_path(files[1])
    authority.cert_pem.write_to_path(files[2])
    return ServerTls(*files)


def launched(
    options: ServerOptions,
    wanted: WantedServer = WantedServer.AUTO,
    number: signal.Signals = signal.SIGTERM,
    binary: Path | None = None,
) -> Started:
    """What was announced; the server is told to end at once."""
    said = []

    def announce(started: Started) -> None:
        said.append(started)
        os.kill(os.getpid(), number)

    launcher.launch(options, announce, wanted, binary)
    (started,) = said
    return started


def flags(arguments: list[str]) -> dict[str, str]:
    return dict(entry[2:].split("=", 1) for entry in arguments if entry.startswith("--"))


# What each server gets: as many threads as the embedded server takes requests, no profiles for
# clients, and half an hour, in tens of seconds, for a model that is being copied into its folder.
COMMON_FLAGS = {
    "grpc_max_threads": "128",
    "enable_profiler": "false",
    "max_num_load_retries": "180",
    "load_retry_interval_micros": "10000000",
    "num_load_threads": "2",
}


def test_the_binary_gets_what_was_asked_for(
    programs: FakePrograms, everywhere: ServerOptions
) -> None:
    programs.add_binary()
    started = launched(replace(everywhere, poll_seconds=2.5))
    (arguments,) = programs.calls("tensorflow_model_server")
    given = flags(arguments)
    (config,) = programs.configs()
    assert given == {
        "model_config_file": f"{config}/models.config",
        "port": started.address.removeprefix("0.0.0.0:"),
        "file_system_poll_wait_seconds": "3",
        "model_config_file_poll_wait_seconds": "3",
        **COMMON_FLAGS,
    }
    assert (started.server, started.model_name) == ("tensorflow_model_server", "films")
    assert started.versions == [12]
    assert started.metrics is None
    assert not Path(config).exists()


def test_on_loopback_the_binary_listens_to_a_socket_alone(
    programs: FakePrograms, options: ServerOptions
) -> None:
    programs.add_binary()
    asked = replace(options, host="localhost")
    found = []

    def announce(started: Started) -> None:
        (config,) = programs.configs()
        found.append(stat.S_IMODE(Path(config).stat().st_mode))
        port = int(started.address.removeprefix("localhost:"))
        found.append(readiness.served_versions(ports.reachable("localhost", port), asked))
        os.kill(os.getpid(), signal.SIGTERM)

    launcher.launch(asked, announce)
    (arguments,) = programs.calls("tensorflow_model_server")
    (config,) = programs.configs()
    assert flags(arguments) == {
        "model_config_file": f"{config}/models.config",
        "port": "0",
        "grpc_socket_path": f"{config}/grpc",
        "file_system_poll_wait_seconds": "1",
        "model_config_file_poll_wait_seconds": "1",
        **COMMON_FLAGS,
    }
    assert found == [0o700, [12]]
    assert not Path(config).exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_and_the_handlers_are_put_back(
    programs: FakePrograms, options: ServerOptions, number: signal.Signals, host: str
) -> None:
    programs.add_binary()
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    port = launched(replace(options, host=host), number=number).address.split(":")[1]
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


def test_a_server_that_does_not_heed_the_signal_is_ended(
    programs: FakePrograms, options: ServerOptions
) -> None:
    programs.add_binary(stubborn=True)
    port = launched(replace(options, drain_seconds=0.5)).address.split(":")[1]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


def test_a_signal_during_the_start_ends_it_without_a_word(
    programs: FakePrograms, options: ServerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add_binary(deaf=True)

    def signalled(target: str, options: ServerOptions) -> list[int]:
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    monkeypatch.setattr(launcher.readiness, "served_versions", signalled)
    said: list[Started] = []
    launcher.launch(options, said.append)
    assert said == []


def served_by(config: Path) -> list[int]:
    """The versions that a configuration names; none if it follows the newest."""
    text = (config / "models.config").read_text()
    parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = parsed.model_config_list.config
    return list(model.model_version_policy.specific.versions)


def pin(options: ServerOptions, version: int | None) -> None:
    (options.base_path / PIN_FILE).write_text(Pin(version=version).model_dump_json())


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_configuration_follows_the_pin(
    programs: FakePrograms, options: ServerOptions, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    programs.add_binary()
    pin(options, 3)
    seen: list[list[int]] = []

    def watch() -> None:
        (folder,) = programs.configs()
        config = Path(folder)
        seen.append(served_by(config))
        pin(options, None)
        wait_until(lambda: not served_by(config))
        (options.base_path / PIN_FILE).write_text("half")
        wait_until(lambda: "the pinned version cannot be read" in caplog.text)
        seen.append(served_by(config))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch)
    launcher.launch(replace(options, host=host, poll_seconds=0.1), lambda _: thread.start())
    thread.join()
    assert seen == [[3], []]


def test_a_damaged_pin_is_reported_before_a_server_starts(
    programs: FakePrograms, options: ServerOptions
) -> None:
    programs.add_binary()
    (options.base_path / PIN_FILE).write_text("half")
    with pytest.raises(ServingError, match=f"{PIN_FILE}: damaged"):
        launched(options)
    assert programs.calls("tensorflow_model_server") == []


def test_versions_with_labels_are_held(programs: FakePrograms, everywhere: ServerOptions) -> None:
    """Until the server ends, so that nobody removes them meanwhile."""
    programs.add_binary()
    programs.status(available(12, 3))
    while_served = []

    def announce(_: Started) -> None:
        while_served.extend(
            name for name in ("3", "12") if version_locks.is_held(everywhere.base_path / name)
        )
        os.kill(os.getpid(), signal.SIGTERM)

    launcher.launch(replace(everywhere, version_labels={"stable": 3}), announce)
    assert while_served == ["3"]
    assert not version_locks.is_held(everywhere.base_path / "3")


def test_labels_and_metrics(programs: FakePrograms, everywhere: ServerOptions) -> None:
    programs.add_binary()
    programs.status(available(12, 3))
    started = launched(replace(everywhere, metrics_port=0, version_labels={"stable": 3}))
    (arguments,) = programs.calls("tensorflow_model_server")
    given = flags(arguments)
    (config,) = programs.configs()
    assert given["allow_version_labels_for_unavailable_models"] == "true"
    # All versions are loaded, and a broken one delays the start as long as it is tried again.
    window = int(given["max_num_load_retries"]) * int(given["load_retry_interval_micros"])
    assert window == 60 * 10**6
    assert given["monitoring_config_file"] == f"{config}/monitoring.config"
    assert given["rest_api_port"] != given["port"]
    assert started.versions == [3, 12]
    assert started.metrics == f"http://0.0.0.0:{given['rest_api_port']}/metrics"


def test_batching_comes_with_a_warning(
    programs: FakePrograms, options: ServerOptions, caplog: pytest.LogCaptureFixture
) -> None:
    programs.add_binary()
    launched(replace(options, batching=BatchingOptions()), WantedServer.BINARY)
    (arguments,) = programs.calls("tensorflow_model_server")
    given = flags(arguments)
    (config,) = programs.configs()
    assert given["enable_batching"] == "true"
    assert given["batching_parameters_file"] == f"{config}/batching.config"
    # Warm-up asks `recommend` too, and a failure there would keep the version from being loaded.
    assert given["enable_model_warmup"] == "false"
    (warning,) = (record.message for record in caplog.records)
    assert "batches the calls of every signature" in warning


def test_batching_in_docker(programs: FakePrograms, options: ServerOptions) -> None:
    programs.add_docker()
    launched(replace(options, batching=BatchingOptions()), WantedServer.DOCKER)
    (run,) = (call for call in programs.calls("docker") if call[0] == "run")
    given = flags(run[run.index("tensorflow/serving:2.21.0") :])
    assert given["enable_batching"] == "true"
    assert given["batching_parameters_file"] == "/config/batching.config"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_mutual_tls(
    programs: FakePrograms, options: ServerOptions, tls: ServerTls, host: str
) -> None:
    programs.add_binary()
    started = launched(replace(options, host=host, tls=tls))
    (arguments,) = programs.calls("tensorflow_model_server")
    assert "ssl_config_file" in flags(arguments)
    # The newest one that is pushed: the server talks to its own clients alone.
    assert started.versions == [12]


def test_docker_gets_what_was_asked_for(programs: FakePrograms, options: ServerOptions) -> None:
    programs.add_docker()
    started = launched(replace(options, metrics_port=0))
    calls = programs.calls("docker")
    assert [call[0] for call in calls] == ["version", "image", "run", "rm"]
    run, remove = calls[2:]
    image = run.index("tensorflow/serving:2.21.0")
    name = run[run.index("--name") + 1]
    assert remove == ["rm", "--force", name]
    (config,) = programs.configs()
    assert [run[place + 1] for place, option in enumerate(run) if option == "--mount"] == [
        f'type=bind,"source={options.base_path}",target=/models/films,readonly',
        f'type=bind,"source={config}",target=/config,readonly',
    ]
    assert {"--rm", "--read-only", "--init"} < set(run[:image])
    assert run[run.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    assert run[run.index("--entrypoint") + 1] == "tensorflow_model_server"
    metrics_port = started.metrics.split(":")[2].removesuffix("/metrics")
    assert [option for option in run if option.startswith("--publish=")] == [
        f"--publish={started.address}:8500",
        f"--publish=127.0.0.1:{metrics_port}:8501",
    ]
    assert flags(run[image:]) == {
        "model_config_file": "/config/models.config",
        "monitoring_config_file": "/config/monitoring.config",
        "port": "8500",
        "rest_api_port": "8501",
        "file_system_poll_wait_seconds": "1",
        "model_config_file_poll_wait_seconds": "1",
        **COMMON_FLAGS,
    }
    assert started.server == "tensorflow/serving:2.21.0 in Docker"
    assert started.address.startswith("127.0.0.1:")


def test_docker_publishes_on_the_address_of_a_name(
    programs: FakePrograms, options: ServerOptions
) -> None:
    programs.add_docker()
    started = launched(replace(options, host="localhost"), WantedServer.DOCKER)
    (published,) = (o for o in programs.calls("docker")[2] if o.startswith("--publish="))
    assert published.startswith(("--publish=127.0.0.1:", "--publish=[::1]:"))
    assert started.address.startswith("localhost:")


def test_the_image_is_fetched_if_it_is_not_there(
    programs: FakePrograms, options: ServerOptions
) -> None:
    programs.add_docker(to_pull=True)
    launched(options)
    assert ["pull", "tensorflow/serving:2.21.0"] in programs.calls("docker")


def test_an_image_that_cannot_be_fetched(programs: FakePrograms, options: ServerOptions) -> None:
    programs.add_docker(no_image="toomanyrequests: try again later")
    with pytest.raises(ServingError) as error:
        launched(options, WantedServer.DOCKER)
    assert str(error.value) == (
        "docker pull tensorflow/serving:2.21.0 ended by itself (exit code 1): "
        "toomanyrequests: try again later; --server embedded needs no image"
    )


def test_a_container_that_fails_is_removed(programs: FakePrograms, options: ServerOptions) -> None:
    programs.add_docker(log=["driver failed programming external connectivity"], exit_code=125)
    with pytest.raises(ServingError, match=r"Docker ended by itself \(exit code 125\): driver"):
        launched(options)
    assert programs.calls("docker")[-1][:2] == ["rm", "--force"]


def test_a_binary_that_ends_by_itself_leaves_its_last_words(
    programs: FakePrograms, options: ServerOptions
) -> None:
    programs.add_binary(log=["one", "two", "three", "", "Failed to start server."], exit_code=255)
    with pytest.raises(ServingError) as error:
        launched(options)
    assert str(error.value) == (
        "tensorflow_model_server ended by itself (exit code 255): "
        "two | three | Failed to start server."
    )


def test_a_binary_that_cannot_be_run(options: ServerOptions, tmp_path: Path) -> None:
    binary = tmp_path / "tensorflow_model_server"
    binary.write_bytes(b"\x7fELF of another machine")
    binary.chmod(0o755)
    with pytest.raises(ServingError, match=f"{binary}: cannot be run: Exec format error"):
        launched(options, binary=binary)


def test_the_reason_why_a_version_does_not_load(
    programs: FakePrograms, options: ServerOptions
) -> None:
    programs.add_binary()
    programs.status(refused(12, "Could not find meta graph def matching supplied tags: { serve }"))
    with pytest.raises(ServingError, match="films: the model server cannot load it: Could not fin"):
        launched(options)


def test_a_server_that_goes_on_trying_to_load_a_version_shows_why(
    programs: FakePrograms,
    options: ServerOptions,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its port is not open before a version is loaded."""
    programs.add_binary(log=["Loading servable: {films 12} failed: no variables"], deaf=True)
    monkeypatch.setattr(launcher, "QUIET_SECONDS", 0.0)
    shown = []

    def read(*_: object) -> list[int]:
        shown.append(capfd.readouterr().err)
        if "no variables" in "".join(shown):
            os.kill(os.getpid(), signal.SIGTERM)
        return []

    monkeypatch.setattr(launcher.readiness, "served_versions", read)
    launcher.launch(options, lambda started: None)
    assert "".join(shown).count("no variables") == 1


def test_a_taken_port(
    programs: FakePrograms, options: ServerOptions, everywhere: ServerOptions
) -> None:
    programs.add_binary()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        for asked in (replace(everywhere, port=port), replace(everywhere, metrics_port=port)):
            with pytest.raises(ServingError, match=f"0.0.0.0:{port}: Address already in use"):
                launched(asked)
        with pytest.raises(ServingError, match=f"127.0.0.1:{port}: Address already in use"):
            launched(replace(options, port=port))
    assert programs.calls("tensorflow_model_server") == []


def test_one_port_for_both(options: ServerOptions) -> None:
    with pytest.raises(ServingError, match="port 8500 cannot be both"):
        launched(replace(options, port=8500, metrics_port=8500))


@pytest.mark.parametrize(
    ("first", "second"), [("port", "rest_port"), ("rest_port", "metrics_port")]
)
def test_one_port_for_rest_and_another(options: ServerOptions, first: str, second: str) -> None:
    with pytest.raises(ServingError, match="port 8501 cannot be both"):
        launched(replace(options, **{first: 8501, second: 8501}))


def test_a_taken_rest_port(programs: FakePrograms, options: ServerOptions) -> None:
    programs.add_binary()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ServingError, match=f"127.0.0.1:{port}: Address already in use"):
            launched(replace(options, rest_port=port))
    assert programs.calls("tensorflow_model_server") == []


def test_rest_would_answer_without_tls(options: ServerOptions, tls: ServerTls) -> None:
    with pytest.raises(ServingError, match="the REST API answers without TLS"):
        launched(replace(options, rest_port=0, tls=tls))


def test_a_model_that_was_never_pushed(options: ServerOptions, tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="no model has been pushed there"):
        launched(replace(options, base_path=tmp_path / "absent"))


def test_a_label_of_a_version_that_is_not_there(options: ServerOptions) -> None:
    with pytest.raises(ServingError, match=r"--label stable=4: no such version .* 3, 12"):
        launched(replace(options, version_labels={"canary": 12, "stable": 4}))


def test_the_private_key_is_readable_by_nobody_else(
    programs: FakePrograms,
    everywhere: ServerOptions,
    tls: ServerTls,
) -> None:
    programs.add_binary()
    modes = []

    def announce(started: Started) -> None:
        (config,) = programs.configs()
        modes.append(stat.S_IMODE(Path(config).stat().st_mode))
        os.kill(os.getpid(), signal.SIGTERM)

    launcher.launch(replace(everywhere, tls=tls), announce)
    assert modes == [0o700]


@pytest.mark.parametrize(
    ("started", "line"),
    [
        (
            Started("the embedded server", "films", [12], "127.0.0.1:8500", None),
            "the embedded server serves films, version 12, at 127.0.0.1:8500",
        ),
        (
            Started("x", "films", [3, 12], "[::1]:8500", "http://[::1]:8501/metrics"),
            "x serves films, versions 3, 12, at [::1]:8500, metrics at http://[::1]:8501/metrics",
        ),
    ],
)
def test_the_line(started: Started, line: str) -> None:
    assert str(started) == line
