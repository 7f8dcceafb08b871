"""Measures what a model server adds to the latency of a model.

    make run
    .venv/bin/python -m benchmarks.serving [--workspace DIR] [--seconds S] [--json]

The floor is a call of the model's signature in this process. The servers run in processes of their
own and answer over TCP: the embedded server, and TensorFlow Serving if `tensorflow_model_server` is
on the PATH. TensorFlow Serving binds its port to every interface during the measurement. All take
turns, so that other load on the machine affects them alike.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import grpc
import numpy as np
import tensorflow as tf
import typer
from rich.console import Console
from rich.table import Table
from tensorflow_serving.apis import prediction_service_pb2_grpc

from benchmarks.pushed_version import pushed_version
from components import ratings
from models import features, signature_names
from models.columns import Columns
from models.export.sample_requests import predict_request
from pipeline import summary
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving import ports
from serving.defaults import DEFAULT_MODEL, LOOPBACK
from serving.errors import ServingError
from serving.launch import readiness
from serving.launch.candidate_server import EMBEDDED, candidate_server
from serving.launch.server_process import ServerProcess
from serving.launch.tensorflow_serving_command import BINARY, binary_command
from serving.server_options import ServerOptions, WantedServer

_CLIENTS = (1, 8)
_ROUNDS = 20
# Number of different requests, sent in turn.
_REQUESTS = 64
_STARTUP_SECONDS = 60.0
_GRACE_SECONDS = 10.0
# Much longer than any answer takes, so only a server that hangs ends the measurement.
ANSWER_SECONDS = 30.0
_FLOOR = "bare call"

Inputs = dict[str, Any]
# Returns a function that one client calls for each request.
NewClient = Callable[[], Callable[[Inputs], object]]


@dataclass(frozen=True)
class Workload:
    """Requests to one signature.

    Attributes:
        name: Name in the table.
        signature: Name of the signature.
        requests: Inputs of each request, by name.
    """

    name: str
    signature: str
    requests: Sequence[Inputs]


@dataclass
class Latencies:
    """Latencies of all answers to some clients.

    Attributes:
        seconds: Latency of each answer, in seconds.
        elapsed: Time that the clients took in all, in seconds.
    """

    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0

    def figures(self) -> Figures:
        """Returns the percentiles and the rate."""
        p50, p99 = np.percentile(self.seconds, [50, 99]) * 1e3
        return Figures(float(p50), float(p99), len(self.seconds) / self.elapsed)


@dataclass(frozen=True)
class Figures:
    """Latency and throughput.

    Attributes:
        p50_ms: Median latency, in milliseconds.
        p99_ms: 99th percentile of the latency, in milliseconds.
        per_second: Answers a second.
    """

    p50_ms: float
    p99_ms: float
    per_second: float


@dataclass(frozen=True)
class Measured:
    """Result of one workload.

    Attributes:
        workload: Name of the workload.
        clients: Number of concurrent clients.
        figures: Figures by the name of the server; the bare call is one of them.
    """

    workload: str
    clients: int
    figures: dict[str, Figures]


def workloads(rated: Columns) -> list[Workload]:
    """Returns workloads of real pairs of users and movies.

    Args:
        rated: Columns `user_id` and `movie_id` of ratings.
    """
    users, movies = rated[features.USER_ID], rated[features.MOVIE_ID]

    def pairs(count: int) -> list[Inputs]:
        return [
            {
                features.USER_ID: np.take(users, range(start, start + count), mode="wrap"),
                features.MOVIE_ID: np.take(movies, range(start, start + count), mode="wrap"),
            }
            for start in range(0, _REQUESTS * count, count)
        ]

    ten_best = [
        {features.USER_ID: users[start : start + 1], signature_names.K: np.int32(10)}
        for start in range(_REQUESTS)
    ]
    return [
        Workload("predict, 1 pair", signature_names.PREDICT, pairs(1)),
        Workload("predict, 100 pairs", signature_names.PREDICT, pairs(100)),
        Workload("recommend, k = 10", signature_names.RECOMMEND, ten_best),
    ]


def bare_call(saved_model: Any, workload: Workload) -> NewClient:
    """Returns clients that call the signature in this process and read its answer."""
    function = saved_model.signatures[workload.signature]

    def call(request: Inputs) -> object:
        answer = function(**request)
        return {name: value.numpy() for name, value in answer.items()}

    return lambda: call


def over_grpc(address: str, workload: Workload) -> NewClient:
    """Returns clients of a server, each with a channel of its own."""

    def new_client() -> Callable[[Inputs], object]:
        # Channels of one process to one address share a connection unless told otherwise.
        channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        return partial(predict, timeout=ANSWER_SECONDS)

    return new_client


def ask(new_client: NewClient, requests: Sequence[Any], clients: int, seconds: float) -> Latencies:
    """Sends requests from several clients at once, each in a thread of its own, without pauses.

    An exception of a call is raised here once all clients have ended.

    Args:
        new_client: Returns the function that a client calls for each request.
        requests: Requests to send in turn.
        clients: Number of concurrent clients.
        seconds: Time to send requests for.
    """

    def run(call: Callable[[Any], object], offset: int) -> list[float]:
        latencies: list[float] = []
        end = time.perf_counter() + seconds
        asked = offset
        while (started := time.perf_counter()) < end:
            call(requests[asked % len(requests)])
            latencies.append(time.perf_counter() - started)
            asked += 1
        return latencies

    calls = [new_client() for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        # Connects, and traces the function, before the measurement.
        list(pool.map(lambda call: call(requests[0]), calls))
        started = time.perf_counter()
        running = [pool.submit(run, call, client * 7) for client, call in enumerate(calls)]
        latencies = [latency for future in running for latency in future.result()]
        return Latencies(latencies, time.perf_counter() - started)


def measure(
    saved_model: Any, addresses: dict[str, str], chosen: list[Workload], seconds: float
) -> Iterator[Measured]:
    """Measures each workload with one client and with several.

    Args:
        saved_model: SavedModel to call in this process.
        addresses: gRPC address of each server, by its name.
        chosen: Workloads to measure.
        seconds: Time for each figure, in seconds.

    Yields:
        A result for each workload and number of clients.

    Raises:
        ServingError: A call to a server failed.
    """
    for workload in chosen:
        tensors = [
            {name: tf.constant(value) for name, value in inputs.items()}
            for inputs in workload.requests
        ]
        messages = [
            predict_request(DEFAULT_MODEL, workload.signature, inputs)
            for inputs in workload.requests
        ]
        asked: dict[str, tuple[NewClient, Sequence[Any]]] = {
            _FLOOR: (bare_call(saved_model, workload), tensors)
        }
        for name, address in addresses.items():
            asked[name] = (over_grpc(address, workload), messages)
        for clients in _CLIENTS:
            totals = {name: Latencies() for name in asked}
            for _ in range(_ROUNDS):
                for name, (new_client, requests) in asked.items():
                    try:
                        part = ask(new_client, requests, clients, seconds / _ROUNDS)
                    except grpc.RpcError as error:
                        said = f"{error.code().name}: {error.details()}"
                        raise ServingError(f"{name}, {workload.name}: {said}") from error
                    totals[name].seconds += part.seconds
                    totals[name].elapsed += part.elapsed
            yield Measured(
                workload.name, clients, {name: total.figures() for name, total in totals.items()}
            )


def as_table(measured: Sequence[Measured]) -> Table:
    """Returns a table with a row for each workload, number of clients and server."""
    table = Table()
    for heading in ("", "clients", "server", "p50 ms", "p99 ms", "a second", "adds ms at p50"):
        table.add_column(heading, justify="left" if heading in ("", "server") else "right")
    for row in measured:
        floor = row.figures[_FLOOR]
        for name, figures in row.figures.items():
            is_floor = figures is floor
            table.add_row(
                row.workload if is_floor else "",
                str(row.clients) if is_floor else "",
                name,
                f"{figures.p50_ms:.2f}",
                f"{figures.p99_ms:.2f}",
                f"{figures.per_second:,.0f}",
                "" if is_floor else f"{figures.p50_ms - floor.p50_ms:.2f}",
            )
    return table


@contextmanager
def tensorflow_serving(binary: Path, base_path: Path) -> Iterator[str]:
    """Runs TensorFlow Serving over TCP on the newest version in a folder.

    Args:
        binary: Path of `tensorflow_model_server`.
        base_path: Folder of the versions.

    Yields:
        The gRPC address.

    Raises:
        ServingError: The server does not start.
    """
    options = ServerOptions(DEFAULT_MODEL, base_path, port=ports.free_port(LOOPBACK))
    address = ports.address(options.host, options.port)
    with tempfile.TemporaryDirectory() as folder:
        command = binary_command(binary, Path(folder), options)
        with ServerProcess(command, _GRACE_SECONDS) as process:
            readiness.wait_until_served(
                address, options, _STARTUP_SECONDS, lambda: process.exit_code is not None
            )
            if process.exit_code is not None:
                raise ServingError(f"{BINARY} {process.last_words()}")
            yield address


@contextmanager
def _servers(pushed: Path) -> Iterator[dict[str, str]]:
    """Runs all servers that are installed on one version, and yields their addresses by name."""
    with ExitStack() as running:
        embedded = candidate_server(
            pushed, DEFAULT_MODEL, startup_seconds=_STARTUP_SECONDS, wanted=WantedServer.EMBEDDED
        )
        addresses = {EMBEDDED: running.enter_context(embedded).address}
        if binary := shutil.which(BINARY):
            served = tensorflow_serving(Path(binary), pushed.parent)
            addresses[BINARY] = running.enter_context(served)
        yield addresses


def main(
    workspace: Annotated[Path, typer.Option(help="Workspace of a run that pushed a model.")] = Path(
        "workspace"
    ),
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds for each figure.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what a model server adds to the latency of a model."""
    folder = Workspace(workspace)
    pushed = pushed_version(folder)
    console = Console(stderr=True)
    measured = []
    try:
        examples = summary.of_pushed_model(folder, pushed).examples
        chosen = workloads(ratings.read(examples, features.HOLDOUT))
        with _servers(pushed) as addresses:
            for row in measure(tf.saved_model.load(str(pushed)), addresses, chosen, seconds):
                console.print(f"{row.workload}, {row.clients} clients: measured")
                measured.append(row)
    except (ServingError, UserError) as error:
        raise SystemExit(str(error)) from error
    if as_json:
        print(json.dumps([asdict(row) for row in measured], indent=2))
        return
    Console().print(as_table(measured))


if __name__ == "__main__":
    typer.run(main)
