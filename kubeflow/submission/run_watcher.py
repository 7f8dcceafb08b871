"""Follows a run on a platform until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.config.errors import UserError

POLL_SECONDS: Final = 10.0
"""Seconds between two requests for the state of a run."""

RUN: Final = "(run)"
"""Name of the run itself among those of its tasks."""

_MOST_MISSED_POLLS: Final = 6
_SUCCEEDED: Final = "SUCCEEDED"
_FAILED: Final = "FAILED"
# Platforms differ in the spelling of the last one.
_ENDED: Final = (_SUCCEEDED, _FAILED, "SKIPPED", "CANCELED", "CANCELLED")


class UnreachableError(UserError):
    """The platform does not answer now and may do so later."""


@dataclass(frozen=True)
class State:
    """The state of a run or a task.

    Attributes:
        name: Name that the platform gives the state.
        error: Reason of a failure; empty without one.
    """

    name: str
    error: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The states of a run and of its tasks at one time.

    Attributes:
        run: State of the run.
        tasks: States of the tasks that have started by name.
    """

    run: State
    tasks: Mapping[str, State]


@dataclass(frozen=True)
class Sent:
    """A run or a schedule that a platform has accepted.

    Attributes:
        what: `run` or `schedule`.
        name: Name that people find it by.
        url: Address of its page.
        poll: Function that returns the states of a run now; None for a schedule.
    """

    what: str
    name: str
    url: str
    poll: Callable[[], Snapshot] | None


def follow(sent: Sent, report: Callable[[str, str], None]) -> None:
    """Follows a run until it ends.

    Args:
        sent: Run to follow.
        report: Function that gets the name of a task, or `RUN`, and its new state at each change.

    Raises:
        UserError: The run does not succeed, or the platform no longer answers.
    """
    shown: dict[str, str] = {}
    missed = 0
    while True:
        now = _poll(sent, last=missed + 1 == _MOST_MISSED_POLLS)
        missed = 0 if now else missed + 1
        if now:
            for name, state in {**now.tasks, RUN: now.run}.items():
                if shown.get(name) != state.name:
                    report(name, state.name)
                shown[name] = state.name
            if now.run.name in _ENDED:
                return _judge(sent, now)
        time.sleep(POLL_SECONDS)


def _poll(sent: Sent, last: bool) -> Snapshot | None:
    """Returns the states; None if the platform does not answer and this is not the last try."""
    assert sent.poll is not None
    try:
        return sent.poll()
    except UserError as error:
        if isinstance(error, UnreachableError) and not last:
            return None
        raise UserError(f"{error}; no longer following; the run goes on: {sent.url}") from error


def _judge(sent: Sent, now: Snapshot) -> None:
    if now.run.name == _SUCCEEDED:
        return
    failed = {name: state for name, state in now.tasks.items() if state.name == _FAILED}
    whose = f" in {', '.join(failed)}" if failed else ""
    reasons = [state.error for state in (*failed.values(), now.run) if state.error]
    why = f": {reasons[0]}" if reasons else ""
    raise UserError(f"{sent.name} {now.run.name.lower()}{whose}{why}; {sent.url}")
