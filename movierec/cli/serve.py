"""`movierec serve`: a model server on this machine."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from movierec.cli import help_pages, options, output
from pipeline.config.errors import UserError
from pipeline.workspace import Workspace
from serving.defaults import DEFAULT_MODEL, DEFAULT_PORT, LOOPBACK
from serving.server_options import RequestLogOptions, WantedServer
from serving.versions import version_number

if TYPE_CHECKING:
    from logging.handlers import MemoryHandler

    from serving.launch.launcher import Started
    from serving.tls import ServerTls

_PORTS = {"min": 0, "max": 65_535}


def serve(
    workspace: Annotated[
        Path,
        typer.Option("--workspace", metavar="DIR", help="Folder that the models were pushed in."),
    ] = options.DEFAULT_WORKSPACE,
    model_name: options.ModelName = DEFAULT_MODEL,
    server: Annotated[
        WantedServer,
        typer.Option(
            "--server",
            help="Model server to start; auto takes the first one that is installed and has the "
            "features that are asked for.",
        ),
    ] = WantedServer.AUTO,
    binary: Annotated[
        Path | None,
        typer.Option(
            "--binary",
            metavar="FILE",
            help="Path of tensorflow_model_server; looked up on the PATH if not given.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen at; 0.0.0.0 accepts connections from other machines.",
        ),
    ] = LOOPBACK,
    port: Annotated[
        int,
        typer.Option("--port", metavar="PORT", help="Port for gRPC; 0 takes a free one.", **_PORTS),
    ] = DEFAULT_PORT,
    rest_port: Annotated[
        int | None,
        typer.Option(
            "--rest-port",
            metavar="PORT",
            help="Port for TensorFlow Serving's REST API, without TLS; 0 takes a free one. Without "
            "it, there is no REST API.",
            **_PORTS,
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            metavar="PORT",
            help="Port for Prometheus metrics at /metrics; 0 takes a free one. Without it, there "
            "are no metrics.",
            **_PORTS,
        ),
    ] = None,
    batching: Annotated[
        bool,
        typer.Option("--batching", help="Answer predict calls that arrive together in one batch."),
    ] = False,
    check_ops: Annotated[
        bool,
        typer.Option(
            help="Refuse a version with ops that may read or write files or call Python (embedded "
            "server only)."
        ),
    ] = True,
    request_log: Annotated[
        Path | None,
        typer.Option(
            "--request-log",
            metavar="DIR",
            help="Folder for a log of requests, which `movierec skew` reads. Without it, there is "
            "none (embedded server only).",
            rich_help_panel=help_pages.REQUEST_LOG,
        ),
    ] = None,
    request_log_share: Annotated[
        float,
        typer.Option(
            "--request-log-share",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Share of the answered requests that is logged.",
            rich_help_panel=help_pages.REQUEST_LOG,
        ),
    ] = RequestLogOptions.share,
    request_log_megabytes: Annotated[
        int,
        typer.Option(
            "--request-log-megabytes",
            metavar="NUMBER",
            min=1,
            help="Size of the log; the oldest requests make room for new ones.",
            rich_help_panel=help_pages.REQUEST_LOG,
        ),
    ] = RequestLogOptions.max_bytes >> 20,
    request_log_raw_ids: Annotated[
        bool,
        typer.Option(
            "--request-log-raw-ids",
            help="Log the ids of users and movies as they are, not as hashes.",
            rich_help_panel=help_pages.REQUEST_LOG,
        ),
    ] = False,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="NAME=VERSION", help="Label for a version. May be repeated."
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            "--tls-key",
            metavar="FILE",
            help="Private key of the server (PEM). Turns on TLS.",
            rich_help_panel=help_pages.TLS,
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None,
        typer.Option(
            "--tls-certificate",
            metavar="FILE",
            help="Certificate of the server (PEM).",
            rich_help_panel=help_pages.TLS,
        ),
    ] = None,
    tls_client_authority: Annotated[
        Path | None,
        typer.Option(
            "--tls-client-authority",
            metavar="FILE",
            help="Authority (PEM) that signs clients' certificates. Others are refused.",
            rich_help_panel=help_pages.TLS,
        ),
    ] = None,
) -> None:
    """Serve the newest pushed model over gRPC until SIGTERM or Ctrl-C.

    Example: movierec serve --port 9000 --rest-port 9001
    """
    # TensorFlow's C++ code logs while it is loaded.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from serving.launch import launcher
    from serving.server_options import BatchingOptions, ServerOptions

    options = ServerOptions(
        model_name,
        Workspace(workspace).serving(model_name),
        host=host,
        port=port,
        tls=_server_tls(tls_key, tls_certificate, tls_client_authority),
        rest_port=rest_port,
        metrics_port=metrics_port,
        batching=BatchingOptions() if batching else None,
        check_ops=check_ops,
        request_log=None
        if request_log is None
        else RequestLogOptions(
            request_log, request_log_share, request_log_megabytes << 20, request_log_raw_ids
        ),
        version_labels=dict(_parse_label(text) for text in labels or ()),
    )
    announced: list[Started] = []
    with _held_log() as log:

        def say(started: Started) -> None:
            # A program that waits for the line reads it from a pipe.
            output.print_line(started)
            announced.append(started)
            log.flush()
            log.flushLevel = logging.NOTSET

        launcher.launch(options, say, server, binary)
    if not announced:
        output.print_error("stopped by a signal before the server answered")


@contextmanager
def _held_log() -> Iterator[MemoryHandler]:
    """Holds the embedded server's log back until it is up; if it fails, one line says why."""
    from logging.handlers import MemoryHandler

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
        # Python flushes every handler when the process ends.
        held.setTarget(None)


def _parse_label(text: str) -> tuple[str, int]:
    name, _, given = text.partition("=")
    version = version_number(given)
    if not name or version is None:
        raise UserError(f"--label {text}: expected NAME=VERSION, such as stable=1795376823")
    return name, version


def _server_tls(
    key: Path | None, certificate: Path | None, authority: Path | None
) -> ServerTls | None:
    from serving.tls import ServerTls

    if key and certificate:
        return ServerTls(key, certificate, authority)
    if key or certificate or authority:
        raise UserError(
            "TLS: expected both --tls-key and --tls-certificate; --tls-client-authority needs them"
        )
    return None
