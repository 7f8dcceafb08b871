"""The pushed versions of a model: which one is served and why, and the change to another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from components import push_folder
from components.serving_validator import request_data
from components.serving_validator.candidate import connected
from components.serving_validator.examination import ask_each
from pipeline import summary
from pipeline.config.errors import UserError
from pipeline.config.tree import ServingConfig
from pipeline.summary import Summary
from pipeline.workspace import Workspace
from serving.launch.candidate_server import candidate_server
from serving.version_pin import Change, Pin, candidates, read_pin
from serving.versions import versions

Action: TypeAlias = Literal["rollback", "promote"]


@dataclass(frozen=True)
class PushedVersion:
    """A version in the folder.

    Attributes:
        version: Number of the version.
        served: Whether servers answer with it.
        pushed_at: Time of its push, in ISO 8601.
        run_id: First run that pushed it; None if its folder is gone.
        rmse: Holdout RMSE in that run; None for a model that predicts no ratings.
        ndcg_at_10: Holdout NDCG@10 in that run, of a retrieval model.
        reason: Why it is served, or is not.
    """

    version: int
    served: bool
    pushed_at: str
    run_id: str | None
    rmse: float | None
    ndcg_at_10: float | None
    reason: str


def pushed_versions(workspace: Workspace, model_name: str) -> list[PushedVersion]:
    """Returns the complete versions, oldest first.

    Raises:
        ServingError: The pin cannot be read.
    """
    folder = workspace.serving(model_name).resolve()
    pin = read_pin(folder)
    # Of the runs that pushed a version, the oldest stays.
    runs = {run.pushed_model: run for run in summary.newest_first(workspace)}
    followed = candidates(folder, pin.version)
    served = followed[-1] if followed else None
    return [
        _described(version, version == served, pin, runs.get(str(version)))
        for version in versions(folder)
    ]


def _described(folder: Path, served: bool, pin: Pin, run: Summary | None) -> PushedVersion:
    version = int(folder.name)
    # A copied folder has the time of the export. A version is the time of its push, unless the
    # clock was behind, or somebody chose the number.
    seconds = version if version <= time.time() else folder.stat().st_mtime
    return PushedVersion(
        version=version,
        served=served,
        pushed_at=datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds"),
        run_id=run.run_id if run else None,
        rmse=run.rmse.holdout if run and run.rmse else None,
        ndcg_at_10=run.ranking.ndcg_at_10 if run and run.ranking else None,
        reason=_reason(version, served, pin, run),
    )


def _reason(version: int, served: bool, pin: Pin, run: Summary | None) -> str:
    change = next((made for made in reversed(pin.changes) if made.version == version), None)
    if served and change is not None:
        return f"{change.action} by {change.by} at {change.at}: {change.reason}"
    if version in pin.rejected:
        undone = next((c for c in reversed(pin.changes) if c.replaced == version), None)
        return f"rolled back: {undone.reason}" if undone else "rolled back"
    if served:
        return run.gate.reason if run else "the newest version"
    return "replaced by a newer version" if pin.version is None else "not the pinned version"


def serve(
    workspace: Workspace, model_name: str, version: Path, action: Action, reason: str
) -> Change:
    """Makes servers answer with a version from now on, and writes down who did it and why.

    The version must first load and answer in a server of its own. Newer versions count as rolled
    back: no run pushes one of them again, and none is a baseline. If there is no newer version,
    servers follow the newest again.

    Args:
        workspace: Workspace that the model was pushed in.
        model_name: Name under which the model is served.
        version: Folder of a complete version.
        action: Name of the change in the log.
        reason: Reason for the log.

    Returns:
        The entry of the log.

    Raises:
        ServingError: The version does not load, or does not answer as it must; or the pin cannot be
            read.
        UserError: A version is being pushed, or this one was removed meanwhile.
    """
    folder = workspace.serving(model_name).resolve()
    number = int(version.name)
    # What would make the trial vain is told before it.
    with _changing(folder):
        read_pin(folder)
    try_in_server(version, model_name)
    with _changing(folder):
        if number not in {int(entry.name) for entry in versions(folder)}:
            raise UserError(f"{version}: removed while it was tried; choose another version")
        pin = read_pin(folder)
        followed = candidates(folder, pin.version)
        newer = [entry for entry in versions(folder) if int(entry.name) > number]
        rejected = {
            **{known: digest for known, digest in pin.rejected.items() if known != number},
            **{int(entry.name): push_folder.digest(str(entry)) for entry in newer},
        }
        replaced = int(followed[-1].name) if followed else None
        made = push_folder.change(action, number, replaced, reason)
        push_folder.write_pin(
            str(folder),
            Pin(
                version=number if newer else None,
                rejected=rejected,
                changes=(*pin.changes, made),
            ),
        )
    return made


@contextmanager
def _changing(folder: Path) -> Iterator[None]:
    """Keeps pushes out of a folder of versions inside the block.

    Raises:
        UserError: A version is being pushed.
    """
    with push_folder.locked(str(folder), wait=False) as locked:
        # Without locks, who asks for a rollback goes before who may be pushing.
        if locked is False:
            raise UserError(f"{folder}: a version is being pushed; try again when it is there")
        yield


def try_in_server(version: Path, model_name: str) -> None:
    """Loads a version in a model server of its own, and asks each of its signatures."""
    with (
        candidate_server(
            version, model_name, startup_seconds=ServingConfig().startup_seconds
        ) as server,
        connected(server.address, model_name) as candidate,
    ):
        ask_each(candidate, request_data.movie_ids(version))
