"""A real Kubernetes API server with its etcd, both on the loopback address.

The programs are those that Kubernetes' own tests use: `etcd` and `kube-apiserver` in the folder
KUBEBUILDER_ASSETS, and `kubectl`. There is no node, so nothing ever runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubernetes import client

from serving.ports import free_port
from tests.serving.asking import wait_until

_ADDRESS: Final = "127.0.0.1"
_TOKEN: Final = "token-of-a-test"


def missing() -> str | None:
    """Returns what a server lacks here; None if it can be started."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if folder is None:
        return "KUBEBUILDER_ASSETS is not set: expected a folder with etcd and kube-apiserver"
    for program in ("etcd", "kube-apiserver"):
        if not (Path(folder) / program).is_file():
            return f"{folder} has no {program}"
    if shutil.which("kubectl") is None:
        return "kubectl is not installed"
    return None


@dataclass(frozen=True)
class ApiServer:
    """A running API server.

    Attributes:
        address: Address, with its scheme.
        cache: Folder of what kubectl remembers of the server.
    """

    address: str
    cache: Path

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs kubectl as the administrator."""
        access = (
            f"--server={self.address}",
            f"--token={_TOKEN}",
            "--insecure-skip-tls-verify",
            f"--cache-dir={self.cache}",
        )
        return subprocess.run(
            ["kubectl", *access, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def done(self, *arguments: str, stdin: str = "") -> str:
        """Returns what kubectl prints, which must succeed."""
        process = self.kubectl(*arguments, stdin=stdin)
        assert process.returncode == 0, process.stderr
        return process.stdout

    def client(self, user: str) -> client.ApiClient:
        """Returns a client with the rights of a user."""
        settings = client.Configuration(host=self.address)
        settings.api_key = {"authorization": f"Bearer {_TOKEN}"}
        settings.verify_ssl = False
        settings.retries = False
        made = client.ApiClient(settings)
        made.set_default_header("Impersonate-User", user)
        return made


@contextmanager
def serve(folder: Path) -> Iterator[ApiServer]:
    """Starts a server whose files are in a folder; ends it after the block."""
    programs = Path(os.environ["KUBEBUILDER_ASSETS"])
    (folder / "tokens.csv").write_text(f'{_TOKEN},admin,1,"system:masters"\n')
    subprocess.run(
        ["openssl", "genrsa", "-out", folder / "key.pem", "2048"], check=True, capture_output=True
    )
    etcd, peers = (f"http://{_ADDRESS}:{free_port(_ADDRESS)}" for _ in range(2))
    port = free_port(_ADDRESS)
    commands = [
        [
            programs / "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ],
        [
            programs / "kube-apiserver",
            f"--etcd-servers={etcd}",
            f"--bind-address={_ADDRESS}",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'certificates'}",
            f"--service-account-key-file={folder / 'key.pem'}",
            f"--service-account-signing-key-file={folder / 'key.pem'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={folder / 'tokens.csv'}",
            # Nothing makes the accounts that it would look for.
            "--disable-admission-plugins=ServiceAccount",
        ],
    ]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        server = ApiServer(f"https://{_ADDRESS}:{port}", folder / "kubectl")
        try:
            wait_until(lambda: not server.kubectl("get", "--raw", "/readyz").returncode)
        except AssertionError as error:
            raise AssertionError((folder / "kube-apiserver.log").read_text()[-2000:]) from error
        yield server
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(timeout=60)
