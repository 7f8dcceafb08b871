"""A running server, and the official stubs on a channel to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.defaults import LOOPBACK
from serving.embedded.server import ModelServer
from serving.server_options import ServerOptions

# Generous: nothing that is asserted depends on it.
SECONDS = 60
VERSION = 3


@dataclass(frozen=True)
class Asked:
    """A channel to a server and the official stubs on it."""

    channel: grpc.Channel
    predictions: prediction_service_pb2_grpc.PredictionServiceStub
    models: model_service_pb2_grpc.ModelServiceStub


@dataclass
class Calls:
    """Calls of models, in the order in which they begin.

    A test of what happens during a call holds it, rather than hope that a slow one lasts until
    the test, however busy the machine, has looked.

    Attributes:
        signatures: Name of the signature by call.
        threads: Name of the thread by call.
        hold: Until when a call waits, by the name of its signature.
    """

    signatures: list[str] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)
    hold: dict[str, threading.Event] = field(default_factory=dict)

    @contextmanager
    def held(self, signature: str) -> Iterator[threading.Event]:
        """Keeps calls from returning until the event is set, or the block is left."""
        free = self.hold[signature] = threading.Event()
        try:
            yield free
        finally:
            free.set()
            del self.hold[signature]


@contextmanager
def asking(port: int, credentials: grpc.ChannelCredentials | None = None) -> Iterator[Asked]:
    target = f"{LOOPBACK}:{port}"
    # Channels to one target share a connection otherwise, and with it what another test did to it.
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]
    with (
        grpc.secure_channel(target, credentials, options)
        if credentials
        else grpc.insecure_channel(target, options)
    ) as channel:
        yield Asked(
            channel,
            prediction_service_pb2_grpc.PredictionServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )


@contextmanager
def running(options: ServerOptions) -> Iterator[ModelServer]:
    server = ModelServer(options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def wait_until(true: Callable[[], bool]) -> None:
    """Fails if it does not come true."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """The status code and the text of a call that is to fail."""
    with pytest.raises(grpc.RpcError) as failure:
        call()
    return failure.value.code(), failure.value.details()


@dataclass(frozen=True)
class ServerProcess:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    def memory(self) -> int:
        """Resident bytes that are in use: what is free is given back first."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGUSR1)
        assert self.process.stdout.readline() == "trimmed\n"
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def processor_seconds(self) -> float:
        """Returns the processor time of all its threads, in seconds."""
        # After the name of the program, which may hold anything up to the last bracket.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server_process(
    base_path: Path, module: str = "tests.serving.server_process"
) -> Iterator[ServerProcess]:
    """Killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(base_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield ServerProcess(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
