"""When a schedule starts runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kubeflow.targets import Target
from pipeline.config.errors import UserError

_FIELDS: Final = ("minute", "hour", "day of the month", "month", "day of the week")
_ZONE: Final = re.compile(r"(CRON_)?TZ=(?P<zone>\S+)\s+(?P<fields>.*)")


@dataclass(frozen=True)
class Schedule:
    """Times at which runs start.

    Attributes:
        cron: Cron expression in the form of the platform.
        max_concurrent: Largest number of runs at a time.
    """

    cron: str
    max_concurrent: int = 1


def schedule(text: str | None, max_concurrent: int | None, target: Target) -> Schedule | None:
    """Returns the schedule that the options ask for; None for a single run.

    The platform checks the fields of the cron expression.

    Args:
        text: Five cron fields, for Vertex AI optionally after a time zone, as
            `TZ=Europe/Berlin 0 3 * * 1`; None for a single run.
        max_concurrent: Largest number of runs at a time; None for the default.
        target: Platform of the schedule.

    Raises:
        UserError: The number of fields or the time zone is wrong, or an option of schedules is
            given without one.
    """
    if text is None:
        if max_concurrent is not None:
            raise UserError("--max-concurrent: expected together with --cron")
        return None
    return Schedule(_cron(text, target), max_concurrent or Schedule.max_concurrent)


def _cron(text: str, target: Target) -> str:
    zoned = _ZONE.fullmatch(text.strip())
    given = (zoned["fields"] if zoned else text).split()
    if len(given) != len(_FIELDS):
        raise UserError(
            f'--cron {text}: {len(given)} fields; expected five, as in "0 3 * * 1": '
            f"{', '.join(_FIELDS)}"
        )
    fields = " ".join(given)
    if target is Target.KFP:
        if zoned:
            raise UserError(
                f"--cron {text}: kfp takes no time zone; all its schedules follow the server's"
            )
        # Kubeflow Pipelines reads the first of six fields as seconds.
        return f"0 {fields}"
    if zoned is None:
        return fields
    _check_zone(text, zoned["zone"])
    return f"TZ={zoned['zone']} {fields}"


def _check_zone(text: str, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UserError(
            f"--cron {text}: unknown time zone {zone}; expected one such as Europe/Berlin"
        ) from error
