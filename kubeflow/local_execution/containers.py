"""Tasks in containers of the images that a job names, by Docker."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubeflow.storage.mounts import MOUNTS
from pipeline.config.errors import UserError

_DOCKER: Final = "docker"
# Folders of a machine that a task writes to. Nothing else of a container can be written to.
_WRITABLE: Final = ("/tmp", *MOUNTS.values())


@dataclass(frozen=True)
class Containers:
    """Starts each task in a container without a network.

    Attributes:
        images: Id of each image, by the name that the job has for it.
        folders: Folders of this machine that tasks find at the same place, as they would a bucket.
    """

    images: Mapping[str, str]
    folders: tuple[Path, ...]

    def command(
        self,
        name: str,
        image: str,
        root: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
    ) -> list[str]:
        """Returns the command that runs a task's command in a container and waits for its end.

        Args:
            name: Name of the container.
            image: Image of the task.
            root: Folder that stands for the machine's `/`. Its folders take the place of the
                launcher's, so paths below it become paths of the container.
            command: Program and arguments.
            environment: Variables of the task.
        """
        for folder in self.folders:
            # The engine would create them as root.
            folder.mkdir(parents=True, exist_ok=True)
        mounts = {str(root / folder.lstrip("/")): folder for folder in _WRITABLE}
        mounts |= {str(folder): str(folder) for folder in self.folders}
        variables = {key: value.replace(str(root), "") for key, value in environment.items()}
        program, *arguments = (word.replace(str(root), "") for word in command)
        return [
            *(_DOCKER, "run", "--rm", "--name", name),
            *("--network", "none", "--read-only", "--no-healthcheck"),
            # What it writes belongs to whoever runs the job.
            *("--user", f"{os.getuid()}:{os.getgid()}", "--cap-drop", "ALL"),
            *("--security-opt", "no-new-privileges"),
            *(f"--volume={source}:{target}" for source, target in mounts.items()),
            *(f"--env={key}={value}" for key, value in variables.items()),
            *("--entrypoint", program, self.images[image], *arguments),
        ]

    @contextmanager
    def named(self) -> Iterator[str]:
        """Yields a name for a container, which is gone afterwards."""
        name = f"movierec-{uuid.uuid4()}"
        try:
            yield name
        finally:
            # One that has ended is gone already. One whose client was killed has not ended.
            _docker("rm", "--force", name)


def find(images: Iterable[str], folders: Iterable[Path]) -> Containers:
    """Returns what starts containers of the images.

    Args:
        images: Images that the job names.
        folders: Folders of this machine that tasks find at the same place.

    Raises:
        UserError: Docker does not answer, or has not got an image.
    """
    answer = _docker("version", "--format", "{{.Server.Version}}")
    if answer is None or answer.returncode:
        raise UserError(
            "--docker: Docker does not answer; install it and start it: `docker info` has to "
            "succeed"
        )
    return Containers({image: _id(image) for image in images}, tuple(folders))


def _id(image: str) -> str:
    answer = _docker("image", "inspect", "--format", "{{.Id}}", image)
    if answer is None or answer.returncode:
        raise UserError(
            f"--docker: Docker has no image {image}; build it with `make image IMAGE={image}` or "
            f"get it with `docker pull {image}`"
        )
    return answer.stdout.strip()


def _docker(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    """Returns what Docker's client answers; None where it is not installed."""
    try:
        return subprocess.run([_DOCKER, *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
