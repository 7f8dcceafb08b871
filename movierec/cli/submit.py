"""The command that sends a compiled job to a platform."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.config.errors import RunInterruptedError, UserError
from pipeline.config.name_value import pairs

if TYPE_CHECKING:
    from kubeflow.submission.kfp_request import KfpRequest
    from kubeflow.submission.run_watcher import Sent
    from kubeflow.submission.vertex_request import VertexRequest


def submit(
    job: Annotated[Path, typer.Argument(help="What `movierec compile` wrote: JSON or YAML.")],
    target: Annotated[
        str | None, typer.Option(help="vertex or kfp; what the file is for if not given.")
    ] = None,
    host: Annotated[str, typer.Option(help="kfp: address of its API, as https://HOST/PATH.")] = "",
    namespace: Annotated[
        str | None, typer.Option(help="kfp: of the runs, where there are several users.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="kfp: of the runs; the pipeline's name if not given.")
    ] = None,
    pipeline_name: Annotated[
        str | None, typer.Option(help="kfp: that versions are kept under; the file's if not given.")
    ] = None,
    project: Annotated[str, typer.Option(help="vertex: id of the Google Cloud project.")] = "",
    region: Annotated[str, typer.Option(help="vertex: where to run, as us-central1.")] = "",
    network: Annotated[
        str | None, typer.Option(help="vertex: as projects/NUMBER/global/networks/NAME.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="vertex: a label; may be repeated."),
    ] = None,
    service_account: Annotated[
        str | None, typer.Option(help="Whose rights the tasks have; the platform's if not given.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", metavar="NAME=VALUE", help="A parameter; may be repeated."),
    ] = None,
    run_name: Annotated[
        str | None, typer.Option(help="Of the run or the schedule, for people.")
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(
            metavar='"0 3 * * 1"',
            help="Starts a run at these times: minute, hour, day, month, day of the week; for "
            "vertex after TZ=ZONE if it is not UTC.",
        ),
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, help="With --cron: runs at a time; 1 if not given.")
    ] = None,
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache",
            help="Take no earlier results. kfp then gets the pipeline with the run, not as a "
            "version.",
        ),
    ] = False,
    send: Annotated[bool, typer.Option("--send", help="Send it; else it is only shown.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the run until it ends; 1 if it fails.")
    ] = False,
) -> None:
    """Send a compiled job to Kubeflow Pipelines or Vertex AI; shows it unless --send is given.

    Credentials are those that the platform's own client finds.
    """
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
    print(f"{sent.what} {sent.name}: {sent.url}", flush=True)
    if wait:
        _follow(sent)


def _check_wait(wait: bool, send: bool, cron: str | None) -> None:
    if wait and cron is not None:
        raise UserError("--wait: a schedule does not end; expected without --cron")
    if wait and not send:
        raise UserError("--wait: nothing is sent; expected with --send")


def _show(asked: KfpRequest | VertexRequest) -> None:
    """The calls, as each platform's people read such things, and that they are not made."""
    from kubeflow.submission.kfp_request import KfpRequest

    calls = [call.content() for call in asked.calls()]
    if isinstance(asked, KfpRequest):
        import yaml

        shown = yaml.safe_dump({"host": asked.host, "calls": calls}, sort_keys=False, width=10**6)
    else:
        shown = json.dumps({"calls": calls}, indent=2) + "\n"
    print(shown, end="", flush=True)
    print("movierec: nothing was sent; --send sends this", file=sys.stderr)


def _send(asked: KfpRequest | VertexRequest) -> Sent:
    from kubeflow.submission import kfp_request

    if isinstance(asked, kfp_request.KfpRequest):
        # The client takes seconds to import, and this can be said before.
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
    print(f"{sent.name} succeeded")


def _report(name: str, state: str) -> None:
    """A line for the run, or a task of it, in another state."""
    print(f"{name:<24} {state:>10}", file=sys.stderr, flush=True)
