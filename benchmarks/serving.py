"""What a model server adds to a model: latency and throughput over gRPC beside the bare call.

    make run
    .venv/bin/python -m benchmarks.serving [--workspace DIR] [--seconds S] [--json]

The floor is the model's signature called in this process. The servers are processes of their own,
each asked over TCP: the embedded one, and TensorFlow Serving where `tensorflow_model_server` is on
the PATH, which binds its port to every interface for as long as this measures. All are asked in
turns, so that what else the machine does falls on each alike.
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

from models import features, signature_names
from models.columns import Columns
from models.export.sample_requests import predict_request
from pipeline import ratings, summary
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
from serving.versions import newest_version

_CLIENTS = (1, 8)
_ROUNDS = 20
# Different requests, asked one after another.
_REQUESTS = 64
_STARTUP_SECONDS = 60.0
_GRACE_SECONDS = 10.0
# Far beyond any answer: a server that is stuck ends the measurement.
_ANSWER_SECONDS = 30.0
_FLOOR = "bare call"

Inputs = dict[str, Any]
# Makes what one client calls again and again.
NewClient = Callable[[], Callable[[Inputs], object]]


@dataclass(frozen=True)
class Workload:
    """Requests to one signature."""

    name: str
    signature: str
    requests: Sequence[Inputs]


@dataclass
class Latencies:
    """Of every answer of some clients, and how long they asked."""

    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0

    def figures(self) -> Figures:
        """What is shown."""
        p50, p99 = np.percentile(self.seconds, [50, 99]) * 1e3
        return Figures(float(p50), float(p99), len(self.seconds) / self.elapsed)


@dataclass(frozen=True)
class Figures:
    """Percentiles of the latency in milliseconds, and answers a second."""

    p50_ms: float
    p99_ms: float
    per_second: float


@dataclass(frozen=True)
class Measured:
    """One workload with a number of clients; figures by what was asked."""

    workload: str
    clients: int
    figures: dict[str, Figures]


def workloads(rated: Columns) -> list[Workload]:
    """Requests made of real pairs of users and movies."""
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
    """The floor: the signature's function, its answer read."""
    function = saved_model.signatures[workload.signature]

    def call(request: Inputs) -> object:
        answer = function(**request)
        return {name: value.numpy() for name, value in answer.items()}

    return lambda: call


def over_grpc(address: str, workload: Workload) -> NewClient:
    """A client with a channel of its own."""

    def new_client() -> Callable[[Inputs], object]:
        # Channels of one process to one address share a connection unless told otherwise.
        channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        return partial(predict, timeout=_ANSWER_SECONDS)

    return new_client


def ask(new_client: NewClient, requests: Sequence[Any], clients: int, seconds: float) -> Latencies:
    """Lets clients ask, each in a thread of its own, without a pause for some seconds.

    Whatever a call raises is raised here, once all clients have ended.
    """

    def run(call: Callable[[Any], object], offset: int) -> list[float]:
        found: list[float] = []
        end = time.perf_counter() + seconds
        asked = offset
        while (started := time.perf_counter()) < end:
            call(requests[asked % len(requests)])
            found.append(time.perf_counter() - started)
            asked += 1
        return found

    calls = [new_client() for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        # Connected, and the function traced, before the time begins.
        list(pool.map(lambda call: call(requests[0]), calls))
        started = time.perf_counter()
        running = [pool.submit(run, call, client * 7) for client, call in enumerate(calls)]
        latencies = [latency for future in running for latency in future.result()]
        return Latencies(latencies, time.perf_counter() - started)


def measure(
    saved_model: Any, addresses: dict[str, str], found: list[Workload], seconds: float
) -> Iterator[Measured]:
    """Each workload by one client and by several, each for some seconds of each server.

    Args:
        saved_model: called in this process.
        addresses: of gRPC, by the name of the server.
        found: what is asked.
        seconds: for each figure.

    Raises:
        ServingError: a call to a server failed.
    """
    for workload in found:
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


def _table(measured: Sequence[Measured]) -> Table:
    table = Table()
    for heading in ("", "clients", "asked", "p50 ms", "p99 ms", "a second", "adds ms at p50"):
        table.add_column(heading, justify="left" if heading in ("", "asked") else "right")
    for row in measured:
        floor = row.figures[_FLOOR]
        for name, found in row.figures.items():
            is_floor = found is floor
            table.add_row(
                row.workload if is_floor else "",
                str(row.clients) if is_floor else "",
                name,
                f"{found.p50_ms:.2f}",
                f"{found.p99_ms:.2f}",
                f"{found.per_second:,.0f}",
                "" if is_floor else f"{found.p50_ms - floor.p50_ms:.2f}",
            )
    return table


@contextmanager
def tensorflow_serving(binary: Path, base_path: Path) -> Iterator[str]:
    """Serves the newest version in a folder over TCP, as the embedded server does.

    Args:
        binary: `tensorflow_model_server`.
        base_path: of the versions.

    Yields:
        The address.

    Raises:
        ServingError: the server does not come up.
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
    """The addresses of all servers that there are, by name, of one version."""
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
    workspace: Annotated[Path, typer.Option(help="Of a run that pushed a model.")] = Path(
        "workspace"
    ),
    seconds: Annotated[float, typer.Option(min=0.1, help="For each figure.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Prints a line for each workload and number of clients."""
    folder = Workspace(workspace)
    pushed = newest_version(folder.serving(DEFAULT_MODEL).resolve())
    if pushed is None:
        raise SystemExit(f"{workspace}: no model has been pushed there; `movierec run` does that")
    console = Console(stderr=True)
    measured = []
    try:
        examples = Path(summary.of_pushed_model(folder, pushed).examples)
        found = workloads(ratings.read(examples, features.HOLDOUT))
        with _servers(pushed) as addresses:
            for row in measure(tf.saved_model.load(str(pushed)), addresses, found, seconds):
                console.print(f"{row.workload}, {row.clients} clients: measured")
                measured.append(row)
    except (ServingError, UserError) as error:
        raise SystemExit(str(error)) from error
    if as_json:
        print(json.dumps([asdict(row) for row in measured], indent=2))
        return
    Console().print(_table(measured))


if __name__ == "__main__":
    typer.run(main)
