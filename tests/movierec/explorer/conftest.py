"""An explorer of a small exported model, with the servers that it needs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from movierec.explorer.pages import explorer_app
from movierec.explorer.served_model import ServedModel
from pipeline.workspace import Workspace
from serving.client import RecommenderClient
from serving.embedded.server import ModelServer
from serving.server_options import ServerOptions
from serving.web_server import WebServer

MODEL = "movierec"


@dataclass
class Explored:
    """A running explorer.

    Attributes:
        url: Its address, without the last slash.
        folder: Folder of the model's versions.
        server: Model server that it asks.
    """

    url: str
    folder: Path
    server: ModelServer

    @property
    def version(self) -> Path:
        return max(self.folder.iterdir(), key=lambda entry: int(entry.name))


@contextmanager
def explore(model: Path, root: Path) -> Iterator[Explored]:
    """Runs an explorer of a model in a workspace.

    Args:
        model: Folder of the exported model, which is copied.
        root: Folder of the workspace.
    """
    workspace = Workspace(root)
    folder = workspace.serving(MODEL)
    shutil.copytree(model, folder / "1")
    server = ModelServer(ServerOptions(MODEL, folder, port=0, poll_seconds=0.2))
    server.start()
    try:
        with RecommenderClient(f"127.0.0.1:{server.port}", MODEL, attempts=1, timeout=60) as client:
            served = ServedModel(client, workspace, MODEL)
            pages = WebServer(explorer_app(served, "127.0.0.1"), "127.0.0.1", 0)
            try:
                yield Explored(pages.url.rstrip("/"), folder, server)
            finally:
                pages.stop()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def explored(
    exported_model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Explored]:
    with explore(exported_model("biased_mf"), tmp_path_factory.mktemp("workspace")) as explorer:
        yield explorer
