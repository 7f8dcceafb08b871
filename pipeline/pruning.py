"""What may be removed from a workspace: old versions and runs, and what killed runs left."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from components import push_folder
from components.errors import DataError
from components.gate import release
from pipeline import metadata, summary
from pipeline.summary import Summary
from pipeline.workspace import Workspace
from serving import version_locks
from serving.version_pin import candidates, read_pin
from serving.versions import versions

# Names of temporary folders of Beam and of TensorFlow Transform.
_TEMPORARY: Final = ("beam-temp-*", ".temp_path")
_ARTIFACT: Final = "artifact"
_VERSION: Final = "version"


@dataclass(frozen=True)
class Removable:
    """A file or folder that nothing needs.

    Attributes:
        path: Path of it.
        kind: Noun for what it is.
        size: Bytes on the disk.
    """

    path: Path
    kind: str
    size: int


def prune(workspace: Workspace, keep: int, dry_run: bool = False) -> list[Removable]:
    """Removes what is not needed from a workspace, in which no run may be under way.

    It keeps the newest versions and runs, the served version, those for which a server of this
    machine has a label, the version that the next run of each
    dataset and split is compared with, the last blessed and the best run of each dataset, and all
    that these runs refer to. Of the last run it keeps the results even if it did not reach its
    end, since the next one continues it.

    Args:
        workspace: Workspace to prune.
        keep: Number of versions of each model, of runs, and of states of interrupted trainings to
            keep.
        dry_run: Whether nothing is removed.

    Returns:
        What was removed, or would be.

    Raises:
        UserError: A run is under way, or the folder is no workspace.
        ServingError: A pin cannot be read.
    """
    workspace.require_existing()
    with ExitStack() as locks:
        locks.enter_context(workspace.locked())
        metadata.check_readable(workspace.metadata_db)
        folders = sorted(entry for entry in workspace.serving("").glob("*") if entry.is_dir())
        pushable = [
            folder
            for folder in folders
            if locks.enter_context(push_folder.locked(str(folder), wait=False))
        ]
        runs = list(summary.newest_first(workspace))
        kept_versions = {path for folder in folders for path in _kept_versions(folder, keep)}
        kept_runs = _kept_runs(runs, keep, {str(path.resolve()) for path in kept_versions})
        kept_artifacts = _kept_artifacts(workspace, runs, kept_runs)
        found = [
            *_versions(pushable, kept_versions),
            *_runs(workspace, {run.run_id for run in runs}, kept_runs, keep),
            *_artifacts(workspace, kept_artifacts, {path.resolve() for path in kept_versions}),
            *_states_of_trainings(workspace, keep),
        ]
        if not dry_run:
            # First: an artifact without its folder must not be taken from the cache.
            metadata.forget_removed(
                workspace.metadata_db, {one.path for one in found if one.kind == _ARTIFACT}
            )
            for one in found:
                _remove(one)
    return found


def _kept_versions(folder: Path, keep: int) -> set[Path]:
    """Returns the newest versions, those that servers answer with, and the baseline of each group.

    Without its baseline, the next run of a comparison group would be compared with nothing. Where
    one of these is damaged, servers and runs take the one before, which stays as well.
    """
    pin = read_pin(folder)
    present = versions(folder)
    groups: dict[str | None, list[Path]] = {}
    for version in present:
        if int(version.name) not in pin.rejected:
            groups.setdefault(push_folder.comparison_group(str(version)), []).append(version)
    labelled = {version for version in present if version_locks.is_held(version)}
    needed = (candidates(folder, pin.version), *groups.values())
    return {*present[-keep:], *labelled, *chain.from_iterable(map(_newest_to_sound, needed))}


def _newest_to_sound(versions: Sequence[Path]) -> Iterator[Path]:
    """Yields the newest of versions and, as long as it is damaged, the ones before."""
    for version in reversed(versions):
        yield version
        try:
            release.check_model(str(version))
        except DataError:
            continue
        return


def _kept_runs(runs: list[Summary], keep: int, kept_versions: set[str]) -> set[str]:
    """Returns the ids of the runs to keep.

    Args:
        runs: Every finished run, newest first.
        keep: Number of the newest runs.
        kept_versions: Paths of the kept versions.
    """
    kept = {run.run_id for run in runs[:keep]}
    kept |= {run.run_id for run in runs if run.pushed_model in kept_versions}
    blessed: dict[str, list[Summary]] = {}
    for run in runs:
        if run.gate.blessed and run.serving.blessed:
            blessed.setdefault(run.dataset, []).append(run)
    for of_dataset in blessed.values():
        rated = [run for run in of_dataset if run.rmse is not None]
        ranked = [run for run in of_dataset if run.ranking is not None]
        kept |= {run.run_id for run in (*rated[:1], *ranked[:1])}
        kept |= {min(rated, key=_rmse).run_id} if rated else set()
        kept |= {max(ranked, key=_ndcg).run_id} if ranked else set()
    return kept


def _rmse(run: Summary) -> float:
    assert run.rmse is not None
    return run.rmse.holdout


def _ndcg(run: Summary) -> float:
    assert run.ranking is not None
    return run.ranking.ndcg_at_10


def _versions(folders: list[Path], kept: set[Path]) -> Iterator[Removable]:
    for folder in folders:
        for version in versions(folder):
            if version not in kept:
                yield _removable(version, _VERSION)
        for copy in push_folder.abandoned(str(folder)):
            yield _removable(copy, "copy of a killed push")


def _kept_artifacts(workspace: Workspace, runs: list[Summary], kept_runs: set[str]) -> set[Path]:
    """Returns the folders of the artifacts that kept runs refer to, and of the last run's.

    A summary names its ratings and its export even where the database of that run is gone.
    """
    last = max((entry.name for entry in workspace.runs.glob("*") if entry.is_dir()), default="")
    named = (
        folder
        for run in runs
        if run.run_id in kept_runs
        for folder in (run.examples, run.bulk_export)
        if folder
    )
    return {
        *metadata.folders_of_runs(workspace.metadata_db, {*kept_runs, last}),
        *(Path(folder).resolve() for folder in named),
    }


def _runs(
    workspace: Workspace, finished: set[str], kept: set[str], keep: int
) -> Iterator[Removable]:
    """Yields the folders of the other runs, but not those of the last failures, for their logs.

    A run whose summary cannot be read counts as a failure.
    """
    folders = sorted((entry for entry in workspace.runs.glob("*") if entry.is_dir()), reverse=True)
    failed = [folder for folder in folders if folder.name not in finished]
    for folder in folders:
        if folder.name not in kept and folder not in failed[:keep]:
            yield _removable(folder, "run")


def _states_of_trainings(workspace: Workspace, keep: int) -> Iterator[Removable]:
    """Yields all but the newest states of trainings that were interrupted and not continued."""
    folders = [entry for entry in workspace.checkpoints.glob("*") if entry.is_dir()]
    for folder in sorted(folders, key=_last_change, reverse=True)[keep:]:
        yield _removable(folder, "state of an interrupted training")


def _last_change(folder: Path) -> float:
    """Returns the time of the newest file or folder in a folder, or of itself."""
    return max(entry.stat().st_mtime for entry in (folder, *folder.rglob("*")))


def _artifacts(
    workspace: Workspace, kept: set[Path], kept_versions: set[Path]
) -> Iterator[Removable]:
    """Yields the other artifacts, and temporary folders in those that are kept.

    A link to a version, which was a baseline, stays as long as the version.
    """
    root = workspace.artifacts.resolve()
    for folder in sorted(root.glob("*/[!.]*/*")):
        if folder.is_symlink():
            if folder.resolve() not in kept_versions:
                yield _removable(folder.parent, _ARTIFACT)
        elif folder.is_dir() and folder.resolve() not in kept:
            yield _removable(folder, _ARTIFACT)
        else:
            for pattern in _TEMPORARY:
                for temporary in sorted(folder.rglob(pattern)):
                    if temporary.is_dir():
                        yield _removable(temporary, "temporary folder")
    executions = {folder.name for folder in kept}
    for folder in sorted(root.glob("*/.system/*/*")):
        if folder.name not in executions:
            yield _removable(folder, "record of a step")


def _removable(path: Path, kind: str) -> Removable:
    if path.is_symlink():
        return Removable(path, kind, 0)
    within = (path, *path.rglob("*"))
    files = (file for file in within if file.is_file() and not file.is_symlink())
    return Removable(path, kind, sum(file.stat().st_size for file in files))


def _remove(one: Removable) -> None:
    """Removes a folder, or a link to one; it may have been inside another that is gone."""
    path = one.path
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        # A version that is half there would be one to go back to, or no version that anything
        # removes. Under this name, the next push or prune does.
        if one.kind == _VERSION:
            path = path.rename(path.with_name(f"{push_folder.INCOMING}{path.name}-{uuid.uuid4()}"))
        shutil.rmtree(path)
