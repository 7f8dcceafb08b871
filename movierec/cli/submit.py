"""`movierec submit`: a compiled job, sent to a platform."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from movierec.cli import help_pages, options
from movierec.cli.kubeflow_package import check_kubeflow_package
from movierec.cli.output import print_error, print_line
from pipeline.config.errors import RunInterruptedError, UserError
from pipeline.config.name_value import pairs
from serving.errors import printable

if TYPE_CHECKING:
    from kubeflow.submission.kfp_request import KfpRequest
    from kubeflow.submission.run_watcher import Sent
    from kubeflow.submission.vertex_request import VertexRequest


def _kfp(metavar: str, help_text: str) -> Any:
    return typer.Option(metavar=metavar, help=help_text, rich_help_panel=help_pages.KUBEFLOW)


def _vertex(metavar: str, help_text: str) -> Any:
    return typer.Option(metavar=metavar, help=help_text, rich_help_panel=help_pages.VERTEX)


def submit(
    job: options.CompiledJob,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="PLATFORM",
            help="Platform to send the job to, kfp or vertex; the one that the file was compiled "
            "for if not given.",
        ),
    ] = None,
    parameters: options.Parameters = None,
    run_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Display name of the run or the schedule.")
    ] = None,
    service_account: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Service account that the tasks run as; the platform's default if not given.",
        ),
    ] = None,
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache",
            help="Run every task, whatever the cache has. Kubeflow Pipelines then gets the "
            "pipeline with the run instead of as a version.",
        ),
    ] = False,
    send: Annotated[
        bool, typer.Option("--send", help="Send the job. Without it, the calls are only shown.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Follow the run until it ends; exit code 1 if it fails."),
    ] = False,
    cron: Annotated[
        str | None,
        typer.Option(
            metavar='"0 3 * * 1"',
            help="Times at which runs start: minute, hour, day, month and day of the week. On "
            "Kubeflow Pipelines they are in the server's time zone, on Vertex AI in UTC or in the "
            "zone of TZ=ZONE before them.",
            rich_help_panel=help_pages.SCHEDULE,
        ),
    ] = None,
    max_concurrent: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            min=1,
            help="Number of the schedule's runs at a time, at most; 1 if not given.",
            rich_help_panel=help_pages.SCHEDULE,
        ),
    ] = None,
    host: Annotated[
        str,
        _kfp("URL", "Address of the API, as https://HOST/PATH. Required for Kubeflow Pipelines."),
    ] = "",
    namespace: Annotated[
        str | None, _kfp("NAME", "Namespace of the run; required where Kubeflow is multi-user.")
    ] = None,
    experiment: Annotated[
        str | None, _kfp("NAME", "Experiment of the run; the pipeline's name if not given.")
    ] = None,
    pipeline_name: Annotated[
        str | None,
        _kfp("NAME", "Pipeline that the file becomes a version of; its own name if not given."),
    ] = None,
    project: Annotated[
        str, _vertex("ID", "ID of the Google Cloud project. Required for Vertex AI.")
    ] = "",
    region: Annotated[
        str, _vertex("REGION", "Region of the run, such as us-central1. Required for Vertex AI.")
    ] = "",
    network: Annotated[
        str | None,
        _vertex("NETWORK", "Network of the tasks, as projects/NUMBER/global/networks/NAME."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME=VALUE",
            help="Label of the run. May be repeated.",
            rich_help_panel=help_pages.VERTEX,
        ),
    ] = None,
) -> None:
    """Send a compiled job to Kubeflow Pipelines or Vertex AI.

    Without --send, the command only shows the calls that it would make. It uses the credentials
    that the platform's own client finds.

    Example: movierec submit movierec.yaml --host https://kfp.example.com/pipeline --send --wait
    """
    check_kubeflow_package()
    from kubeflow.submission import request as requests
    from kubeflow.submission.schedule import schedule
    from kubeflow.targets import Target

    _check_wait(wait, send, cron)
    if run_name is not None and (not run_name or run_name.isspace()):
        raise UserError("--run-name: empty; expected a name")
    compiled = requests.read(job, target)
    request = requests.Request(
        compiled=compiled,
        parameters=requests.parameters(compiled, parameters or ()),
        run_name=run_name,
        schedule=schedule(cron, max_concurrent, compiled.target),
        use_cache=not no_cache,
    )
    kfp_only = {
        "--host": host,
        "--namespace": namespace,
        "--experiment": experiment,
        "--pipeline-name": pipeline_name,
    }
    vertex_only = {
        "--project": project,
        "--region": region,
        "--network": network,
        "--label": labels,
    }
    asked: KfpRequest | VertexRequest
    if compiled.target is Target.KFP:
        from kubeflow.submission import kfp_request

        requests.check_foreign(compiled.target, vertex_only)
        asked = kfp_request.checked(
            kfp_request.KfpRequest(
                request, host, namespace, experiment, pipeline_name, service_account
            )
        )
    else:
        from kubeflow.submission import vertex_request

        requests.check_foreign(compiled.target, kfp_only)
        named = pairs("--label", labels or ())
        asked = vertex_request.checked(
            vertex_request.VertexRequest(request, project, region, service_account, network, named)
        )
    if not send:
        _show(asked)
        return
    sent = _send(asked)
    print_line(f"{sent.what} {sent.name}: {sent.url}")
    if wait:
        _follow(sent)


def _check_wait(wait: bool, send: bool, cron: str | None) -> None:
    if wait and cron is not None:
        raise UserError("--wait: a schedule has no end; expected --wait without --cron")
    if wait and not send:
        raise UserError("--wait: nothing is sent; expected --wait with --send")


def _show(asked: KfpRequest | VertexRequest) -> None:
    """Prints the calls in the format that each platform uses, and that none is made."""
    from kubeflow.submission.kfp_request import KfpRequest

    calls = [call.content() for call in asked.calls()]
    if isinstance(asked, KfpRequest):
        import yaml

        shown = yaml.safe_dump({"host": asked.host, "calls": calls}, sort_keys=False, width=10**6)
    else:
        shown = json.dumps({"calls": calls}, indent=2) + "\n"
    print(shown, end="", flush=True)
    print_error("nothing was sent; add --send to send this")


def _send(asked: KfpRequest | VertexRequest) -> Sent:
    from kubeflow.submission import kfp_request

    if isinstance(asked, kfp_request.KfpRequest):
        # Checks before the client is imported, which takes seconds.
        kfp_request.check_reachable(asked.host)

        from kubeflow.submission import kfp_submission

        return kfp_submission.send(asked)

    from kubeflow.submission import vertex_submission

    return vertex_submission.send(asked)


def _follow(sent: Sent) -> None:
    from kubeflow.submission import run_watcher

    try:
        run_watcher.follow(sent, _report)
    except KeyboardInterrupt as error:
        raise RunInterruptedError(f"not watched any more; the run goes on: {sent.url}") from error
    print_line(f"{sent.name} succeeded")


def _report(name: str, state: str) -> None:
    """Prints the new state of the run or of one of its tasks."""
    print(printable(f"{name:<24} {state:>10}"), file=sys.stderr, flush=True)
