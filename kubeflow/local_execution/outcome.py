"""What became of the tasks of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from kubeflow.local_execution.executor_messages import Outputs
from pipeline import atomic_file

TASKS_FILE: Final = "tasks.json"


class State(StrEnum):
    """How a task ended."""

    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Outcome:
    """How one task ended.

    Attributes:
        state: how.
        seconds: it took, all attempts together.
        attempts: how often it was run.
        outputs: Outputs of the task; None if it did not succeed.
        failure: why it did not; None if it did or was not run.
    """

    state: State
    seconds: float = 0.0
    attempts: int = 0
    outputs: Outputs | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Result:
    """A run.

    Attributes:
        folder: Folder for the logs of the tasks and `tasks.json`.
        seconds: it took.
        outcomes: by task, in the order of the file.
    """

    folder: Path
    seconds: float
    outcomes: Mapping[str, Outcome]

    def tasks(self, state: State) -> list[str]:
        """Returns the tasks that ended so."""
        return [name for name, outcome in self.outcomes.items() if outcome.state is state]

    def write(self) -> None:
        """Writes `tasks.json`: state, seconds, artifacts and parameters of each task."""
        content = {name: _content(outcome) for name, outcome in self.outcomes.items()}
        text = json.dumps(content, indent=2) + "\n"
        atomic_file.write_text(self.folder / TASKS_FILE, text)


def _content(outcome: Outcome) -> dict[str, object]:
    outputs = outcome.outputs or Outputs({}, {})
    return {
        "state": outcome.state,
        "seconds": round(outcome.seconds, 3),
        "attempts": outcome.attempts,
        "failure": outcome.failure,
        "artifacts": dict(outputs.artifacts),
        "parameters": dict(outputs.parameters),
    }
