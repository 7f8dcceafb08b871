"""Follows a run until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.config.errors import UserError

POLL_SECONDS: Final = 10.0
"""Between two looks at a run."""

RUN: Final = "(run)"
"""What stands in the place of a task for the run itself."""

_LOOKS_MISSED: Final = 6
_SUCCEEDED: Final = "SUCCEEDED"
_FAILED: Final = "FAILED"
# Both spellings are in use.
_ENDED: Final = (_SUCCEEDED, _FAILED, "SKIPPED", "CANCELED", "CANCELLED")


class UnreachableError(UserError):
    """The platform did not answer; it may do so later."""


@dataclass(frozen=True)
class State:
    """How a run or a task is: a state's name, and why it failed if it did."""

    name: str
    error: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A run and its tasks, those that have begun, at one time."""

    run: State
    tasks: Mapping[str, State]


@dataclass(frozen=True)
class Sent:
    """What a platform has taken.

    Attributes:
        what: run or schedule.
        name: by which a person finds it.
        url: where it can be seen.
        look: how a run is now; None for a schedule.
    """

    what: str
    name: str
    url: str
    look: Callable[[], Snapshot] | None


def follow(sent: Sent, report: Callable[[str, str], None]) -> None:
    """Follows a run until it ends.

    Args:
        sent: a run.
        report: is called with a task, or `RUN`, and its state whenever that is another.

    Raises:
        UserError: the run did not succeed, or it can no longer be looked at.
    """
    shown: dict[str, str] = {}
    missed = 0
    while True:
        now = _look(sent, last=missed + 1 == _LOOKS_MISSED)
        missed = 0 if now else missed + 1
        if now:
            for name, state in {**now.tasks, RUN: now.run}.items():
                if shown.get(name) != state.name:
                    report(name, state.name)
                shown[name] = state.name
            if now.run.name in _ENDED:
                return _judge(sent, now)
        time.sleep(POLL_SECONDS)


def _look(sent: Sent, last: bool) -> Snapshot | None:
    """How the run is; None if the platform does not answer and this is not the last try."""
    assert sent.look is not None
    try:
        return sent.look()
    except UserError as error:
        if isinstance(error, UnreachableError) and not last:
            return None
        raise UserError(f"{error}; not watched any more; the run goes on: {sent.url}") from error


def _judge(sent: Sent, now: Snapshot) -> None:
    if now.run.name == _SUCCEEDED:
        return
    failed = {name: state for name, state in now.tasks.items() if state.name == _FAILED}
    whose = f" in {', '.join(failed)}" if failed else ""
    reasons = [state.error for state in (*failed.values(), now.run) if state.error]
    why = f": {reasons[0]}" if reasons else ""
    raise UserError(f"{sent.name} {now.run.name.lower()}{whose}{why}; {sent.url}")
