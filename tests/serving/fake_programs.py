"""Stand-ins for `tensorflow_model_server` and `docker` on a PATH of their own.

They do what they were started to do as far as it can be seen from outside: they note their
arguments down, read the configuration files, and answer GetModelStatus at the port or the UNIX
socket that they were given. This file is also the program that both of them run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.serving.serving_protos import SSLConfig

ROOT = Path(__file__).parents[2]
GET_MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


class FakePrograms:
    """The programs, what they do, and what they were told.

    Attributes:
        bin: the folder to put on PATH; it is empty to begin with.
    """

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self._state = folder / "state"
        self.bin.mkdir(parents=True)
        self._state.mkdir()

    def add_binary(self, **behaviour: Any) -> Path:
        """`log` is printed at once; `exit_code` ends it then, `deaf` keeps it from answering and
        `stubborn` from ending when it is told to.
        """
        return self._add("tensorflow_model_server", behaviour)

    def add_docker(self, **behaviour: Any) -> Path:
        """Adds a `docker` that behaves like the binary.

        `down` and `no_image` are its error messages; `to_pull` says that the image is missing.
        """
        return self._add("docker", behaviour)

    def status(self, response: Any) -> None:
        """What GetModelStatus answers, a message of the official protos."""
        (self._state / "status").write_bytes(response.SerializeToString())

    def calls(self, program: str) -> list[list[str]]:
        """The arguments of each call, in order."""
        return [arguments for _, arguments in self._calls(program)]

    def processes(self, program: str) -> list[int]:
        """The process of each call."""
        return [process for process, _ in self._calls(program)]

    def configs(self) -> list[str]:
        """The folders of configuration that the servers saw."""
        return (self._state / "configs").read_text().splitlines()

    def _calls(self, program: str) -> list[tuple[int, list[str]]]:
        path = self._state / f"{program}.calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _add(self, name: str, behaviour: dict[str, Any]) -> Path:
        (self._state / f"{name}.json").write_text(json.dumps(behaviour))
        program = self.bin / name
        program.write_text(
            f"#!/bin/sh\nPYTHONPATH='{ROOT}' exec '{sys.executable}' -m {__spec__.name} "
            f"{name} '{self._state}' \"$@\"\n"
        )
        program.chmod(0o755)
        return program


def _flags(arguments: list[str]) -> dict[str, str]:
    return dict(entry[2:].split("=", 1) for entry in arguments if entry.startswith("--"))


def _serve(state: Path, behaviour: dict[str, Any], flags: dict[str, str]) -> int:
    for line in behaviour.get("log", []):
        print(line, file=sys.stderr, flush=True)
    if behaviour.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "exit_code" in behaviour:
        return int(behaviour["exit_code"])
    config = Path(flags["model_config_file"])
    with (state / "configs").open("a") as configs:
        print(config.parent, file=configs)
    model = text_format.Parse(
        config.read_text(), model_server_config_pb2.ModelServerConfig()
    ).model_config_list.config[0]
    if not behaviour.get("deaf"):
        _listen(state, behaviour, flags, model.name)
    while True:
        time.sleep(60)


def _listen(state: Path, behaviour: dict[str, Any], flags: dict[str, str], model_name: str) -> None:
    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        # The name is in the ModelSpec, whole.
        if model_name.encode() not in request:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        return (state / "status").read_bytes()

    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                GET_MODEL_STATUS.split("/")[1],
                {GET_MODEL_STATUS.split("/")[2]: grpc.unary_unary_rpc_method_handler(answer)},
            )
        ]
    )
    targets = []
    if flags["port"] != "0":
        targets.append(f"{behaviour.get('host', '0.0.0.0')}:{flags['port']}")
    if "grpc_socket_path" in flags:
        targets.append(f"unix:{flags['grpc_socket_path']}")
    credentials = None
    if "ssl_config_file" in flags:
        tls = text_format.Parse(Path(flags["ssl_config_file"]).read_text(), SSLConfig())
        credentials = grpc.ssl_server_credentials(
            [(tls.server_key.encode(), tls.server_cert.encode())],
            tls.custom_ca.encode() or None,
            tls.client_verify,
        )
    for target in targets:
        if credentials is None:
            server.add_insecure_port(target)
        else:
            server.add_secure_port(target, credentials)
    server.start()
    # Nothing else keeps it alive.
    global _kept  # noqa: PLW0603
    _kept = server


_kept: Any = None


def _docker(state: Path, behaviour: dict[str, Any], arguments: list[str]) -> int:
    match arguments[0]:
        case "version" if "down" in behaviour:
            print(behaviour["down"], file=sys.stderr)
            return 1
        case "image":
            return 1 if "to_pull" in behaviour or "no_image" in behaviour else 0
        case "pull" if "no_image" in behaviour:
            print(behaviour["no_image"], file=sys.stderr)
            return 1
        case "run":
            return _docker_run(state, behaviour, arguments)
    return 0


def _docker_run(state: Path, behaviour: dict[str, Any], arguments: list[str]) -> int:
    flags = _flags(arguments[arguments.index("tensorflow/serving:2.21.0") + 1 :])
    for place, option in enumerate(arguments):
        if option == "--mount":
            source, target = arguments[place + 1].split(",")[1:3]
            outside, inside = source.strip('"').split("=")[1], target.split("=")[1]
            flags = {
                key: value.replace(inside, outside, 1) if value.startswith(inside) else value
                for key, value in flags.items()
            }
        if option.startswith("--publish="):
            host, port, inside_port = option.removeprefix("--publish=").rsplit(":", 2)
            if inside_port == flags["port"]:
                flags["port"], behaviour["host"] = port, host
    return _serve(state, behaviour, flags)


def main() -> int:
    name, state, *arguments = sys.argv[1:]
    folder = Path(state)
    with (folder / f"{name}.calls").open("a") as calls:
        print(json.dumps([os.getpid(), arguments]), file=calls)
    behaviour = json.loads((folder / f"{name}.json").read_text())
    if name == "docker":
        return _docker(folder, behaviour, arguments)
    return _serve(folder, behaviour, _flags(arguments))


if __name__ == "__main__":
    sys.exit(main())
