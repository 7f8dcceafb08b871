from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import absl.flags
import pytest
import tensorflow as tf
from tfx.components.statistics_gen.executor import Executor

from pipeline import dag_runner, local_runner
from pipeline.config.tree import load_config
from pipeline.local_runner import StepFailedError
from pipeline.workspace import Workspace


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
        RuntimeError("Traceback (most recent call last):\n ...\nMemoryError [while running 'x']"),
        # A process that cannot be forked, a thread that cannot be started, C++ under Python, and a
        # library that cannot be loaded.
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
        ImportError("_pywrap.so: failed to map segment from shared object"),
    ],
)
def test_a_lack_of_memory_says_what_to_lower(
    tmp_path: Path, csv_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(dag_runner.ObservedDagRunner, "run", fail)
    config = load_config(None, ["data.dataset=csv", f"data.path={csv_folder}"])
    with pytest.raises(StepFailedError, match=r"out of memory; lower training\.memory_budget"):
        local_runner.run(config, Workspace(tmp_path / "workspace"))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "model.pb"),
        tf.errors.ResourceExhaustedError(None, None, "examples/0.arrow; No space left on device"),
        RuntimeError("OSError: [Errno 28] No space left on device [while running 'x']"),
        RuntimeError("database or disk is full"),
    ],
)
def test_a_full_disk_says_what_to_do(
    tmp_path: Path, csv_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(dag_runner.ObservedDagRunner, "run", fail)
    config = load_config(None, ["data.dataset=csv", f"data.path={csv_folder}"])
    workspace = tmp_path / "workspace"
    with pytest.raises(StepFailedError, match=f"no space left on the disk of {workspace}; free"):
        local_runner.run(config, Workspace(workspace))


def test_a_damaged_database_is_found_before_the_first_step(
    tmp_path: Path, csv_folder: Path
) -> None:
    database = tmp_path / "workspace" / "metadata.db"
    database.parent.mkdir()
    database.write_bytes(b"garbage" * 1000)
    config = load_config(None, ["data.dataset=csv", f"data.path={csv_folder}"])
    with pytest.raises(StepFailedError, match=f"{database}: damaged"):
        local_runner.run(config, Workspace(tmp_path / "workspace"))


@pytest.mark.parametrize(
    ("gib", "cores", "jobs"), [(6, 16, 2), (64, 4, 4), (64, 32, 16), (64, 1, 1)]
)
def test_jobs_follow_cores_and_memory(
    monkeypatch: pytest.MonkeyPatch, gib: int, cores: int, jobs: int
) -> None:
    monkeypatch.setattr(local_runner.step_processes, "can_fork", lambda: True)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": gib << 18, "SC_PAGE_SIZE": 4096}.get)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert local_runner.jobs_of(load_config()) == jobs
    assert local_runner.jobs_of(load_config(None, ["runner.jobs=3"])) == 3
    # The only step at a time is in a process of its own, too, if there can be one.
    assert local_runner.jobs_of(load_config(None, ["runner.jobs=1"])) == 1
    monkeypatch.setattr(local_runner.step_processes, "can_fork", lambda: False)
    assert local_runner.jobs_of(load_config(None, ["runner.jobs=3"])) is None


def test_a_step_does_not_parse_the_arguments_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", "-v", "no number"])
    context = Executor.Context(["--runner=DirectRunner"])
    with local_runner.without_arguments():
        Executor(context)
    assert sys.argv == ["program", "-v", "no number"]
    # TFX as it is.
    with pytest.raises(absl.flags.IllegalFlagValueError, match="no number"):
        Executor(context)
