"""`movierec serve`. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL, DEFAULT_PORT, LOOPBACK
from serving.server_options import WantedServer

if TYPE_CHECKING:
    from serving.launch.launcher import Started
    from serving.tls import ServerTls

_PORTS = {"min": 0, "max": 65_535}


def serve(
    workspace: Annotated[
        Path, typer.Option("--workspace", help="The folder with the pushed models.")
    ] = Path("workspace"),
    model_name: Annotated[
        str, typer.Option("--model-name", help="As serving.model_name.")
    ] = DEFAULT_MODEL,
    server: Annotated[
        WantedServer,
        typer.Option("--server", help="auto takes the first that is there and can do it."),
    ] = WantedServer.AUTO,
    binary: Annotated[
        Path | None, typer.Option("--binary", help="A tensorflow_model_server, if not on PATH.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="0.0.0.0 lets other machines in.")] = LOOPBACK,
    port: Annotated[
        int, typer.Option("--port", help="Of gRPC; 0 takes a free one.", **_PORTS)
    ] = DEFAULT_PORT,
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", help="Serve Prometheus metrics at /metrics.", **_PORTS),
    ] = None,
    batching: Annotated[
        bool, typer.Option("--batching", help="Answer calls of predict that come at once together.")
    ] = False,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VERSION", help="Names a version; may be repeated."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", help="The server's private key, PEM.")
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option("--tls-certificate", help="The server's certificate, PEM.")
    ] = None,
    tls_client_authority: Annotated[
        Path | None,
        typer.Option("--tls-client-authority", help="Let in only clients that this one signed."),
    ] = None,
) -> None:
    """Serve the newest pushed model over gRPC until SIGTERM or Ctrl-C."""
    # The C++ of TensorFlow would talk of itself while it is loaded.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from serving.launch import launcher
    from serving.server_options import BatchingOptions, ServerOptions

    options = ServerOptions(
        model_name,
        Workspace(workspace).serving(model_name),
        host=host,
        port=port,
        tls=_tls(tls_key, tls_certificate, tls_client_authority),
        metrics_port=metrics_port,
        batching=BatchingOptions() if batching else None,
        version_labels=dict(_label(text) for text in labels or ()),
    )
    with _held_log() as log:

        def say(started: Started) -> None:
            # Whoever waits for the line reads a pipe.
            print(started, flush=True)
            log.flush()
            log.flushLevel = logging.NOTSET

        launcher.launch(options, say, server, binary)


@contextmanager
def _held_log() -> Iterator[MemoryHandler]:
    """Keeps what the embedded server logs until it is up; if it never is, one line tells why."""
    screen = logging.StreamHandler()
    screen.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    held = MemoryHandler(sys.maxsize, flushLevel=sys.maxsize, target=screen)
    logger = logging.getLogger("serving")
    logger.setLevel(logging.INFO)
    logger.addHandler(held)
    try:
        yield held
    finally:
        logger.removeHandler(held)
        # The end of the process flushes every handler.
        held.setTarget(None)


def _label(text: str) -> tuple[str, int]:
    name, _, version = text.partition("=")
    if not name or not version.isdecimal():
        raise UserError(f"--label {text}: NAME=VERSION is needed, such as stable=1795376823")
    return name, int(version)


def _tls(key: Path | None, certificate: Path | None, authority: Path | None) -> ServerTls | None:
    from serving.tls import ServerTls

    if key and certificate:
        return ServerTls(key, certificate, authority)
    if key or certificate or authority:
        raise UserError(
            "TLS needs --tls-key and --tls-certificate; --tls-client-authority goes with both"
        )
    return None
