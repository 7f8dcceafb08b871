"""`movierec explore`: the explorer's pages on this machine."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from movierec.cli import options, output
from movierec.cli.pushed_version import find_pushed_version
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL, DEFAULT_TARGET, LOOPBACK

if TYPE_CHECKING:
    from serving.client import RecommenderClient

DEFAULT_PAGES_PORT: Final = 8600
_PORTS: Final = {"min": 0, "max": 65_535}


def explore(
    workspace: Annotated[
        Path,
        typer.Option("--workspace", metavar="DIR", help="Folder that the model was pushed in."),
    ] = options.DEFAULT_WORKSPACE,
    model_name: options.ModelName = DEFAULT_MODEL,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="HOST:PORT",
            help=f"Address of the model server. Without it, the one at {DEFAULT_TARGET} is asked, "
            "or an embedded one is started.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen at.")
    ] = LOOPBACK,
    port: Annotated[
        int,
        typer.Option(
            "--port", metavar="PORT", help="Port of the pages; 0 takes a free one.", **_PORTS
        ),
    ] = DEFAULT_PAGES_PORT,
) -> None:
    """Explore a pushed model in a browser until SIGTERM or Ctrl-C.

    Example: movierec explore
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Errors have what gRPC would log about a server that does not answer.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    place = Workspace(workspace)
    find_pushed_version(place, model_name, None)
    with ExitStack() as stack:
        client, server = stack.enter_context(_asked_server(place, model_name, target))
        with output.hidden_logs():
            from movierec.explorer.pages import explorer_app
            from movierec.explorer.served_model import ServedModel
            from serving.embedded.server import wait_for_signal
            from serving.web_server import WebServer
        from serving.shutdown import handle_stop_signals

        pages = WebServer(explorer_app(ServedModel(client, place, model_name), host), host, port)
        stack.callback(pages.stop)
        signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        with handle_stop_signals(lambda number, _: signals.put(number)):
            output.print_line(f"the explorer is at {pages.url} and asks {server}")
            wait_for_signal(signals)


@contextmanager
def _asked_server(
    workspace: Workspace, model_name: str, target: str | None
) -> Iterator[tuple[RecommenderClient, str]]:
    """Yields a client of the model server, and what it is in words.

    A server that the caller names is not waited for: the pages say whether it answers.
    """
    from serving.client import RecommenderClient, ServerUnavailableError

    address = target or DEFAULT_TARGET
    with RecommenderClient(address, model_name, attempts=2) as client:
        if target is not None:
            yield client, f"the model server at {address}"
            return
        try:
            client.model_status()
        except ServerUnavailableError:
            pass
        else:
            yield client, f"the model server at {address}"
            return
    with output.hidden_logs():
        from serving.embedded.server import ModelServer
        from serving.server_options import ServerOptions

        server = ModelServer(ServerOptions(model_name, workspace.serving(model_name), port=0))
        server.start()
    try:
        with RecommenderClient(f"{LOOPBACK}:{server.port}", model_name) as client:
            yield client, f"an embedded model server at {LOOPBACK}:{server.port}"
    finally:
        server.stop()
