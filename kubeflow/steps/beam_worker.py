"""A worker of Beam in the image of the steps: what a runner starts in a container, or by a command.

The arguments are those that Beam gives to the containers of any SDK.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import grpc
from apache_beam.portability.api import beam_provision_api_pb2 as provision
from apache_beam.portability.api import beam_provision_api_pb2_grpc as provision_grpc
from apache_beam.portability.api import endpoints_pb2
from google.protobuf import json_format, text_format

_PROVISION: Final = "--provision_endpoint"
_HARNESS: Final = "apache_beam.runners.worker.sdk_worker_main"


def is_asked_for(arguments: Sequence[str]) -> bool:
    """Returns whether a container is called as Beam calls its workers, and not as a step."""
    return any(text.partition("=")[0] == _PROVISION for text in arguments)


def main() -> NoReturn:
    """Becomes Beam's harness; others that the runner wants on this machine are started first."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--id", required=True)
    parser.add_argument(_PROVISION, required=True)
    parser.add_argument("--control_endpoint", default="")
    parser.add_argument("--logging_endpoint", default="")
    # The image has all that a worker needs: nothing is fetched from there.
    parser.add_argument("--artifact_endpoint")
    parser.add_argument("--semi_persist_dir", default="/tmp")
    given, _ = parser.parse_known_args()
    info = _provision_info(given.provision_endpoint, given.id)
    command = [sys.executable, "-m", _HARNESS]
    for sibling in info.sibling_worker_ids:
        subprocess.Popen(command, env={**os.environ, **environment(info, given, sibling)})
    # In place of this process, so that who stops it stops the harness.
    os.execve(sys.executable, command, {**os.environ, **environment(info, given, given.id)})


def environment(
    info: provision.ProvisionInfo, given: argparse.Namespace, worker: str
) -> dict[str, str]:
    """Returns the variables of Beam's harness: its id, its servers and the pipeline's options.

    Args:
        info: Settings of the runner, which take precedence over the command line.
        given: the command line.
        worker: the id of this one.
    """
    variables = {
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options, indent=None),
        "SEMI_PERSISTENT_DIRECTORY": given.semi_persist_dir,
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    endpoints = {
        "CONTROL": info.control_endpoint.url or given.control_endpoint,
        "LOGGING": info.logging_endpoint.url or given.logging_endpoint,
        "STATUS": info.status_endpoint.url,
    }
    for name, url in endpoints.items():
        if url:
            descriptor = endpoints_pb2.ApiServiceDescriptor(url=url)
            variables[f"{name}_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(descriptor)
    return variables


def _provision_info(endpoint: str, worker: str) -> provision.ProvisionInfo:
    with grpc.insecure_channel(endpoint) as channel:
        service = provision_grpc.ProvisionServiceStub(channel)
        answer = service.GetProvisionInfo(
            provision.GetProvisionInfoRequest(),
            metadata=[("worker_id", worker)],
            wait_for_ready=True,
        )
    return answer.info


if __name__ == "__main__":
    main()
