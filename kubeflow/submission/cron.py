"""When a schedule starts runs: the usual five fields of cron, as each platform writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kubeflow.targets import Target
from pipeline.config.errors import UserError


@dataclass(frozen=True)
class _Field:
    """What a field counts, from where to where, and names of some of these numbers in order."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def all(self) -> frozenset[int]:
        return frozenset(range(self.low, self.high + 1))


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 6, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)
_LONGEST_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_ENTRY = re.compile(
    r"(?P<all>\*)?(?(all)|(?P<first>\w+)(-(?P<last>\w+))?)(/(?P<step>[0-9]+))?", re.ASCII
)
_ZONE = re.compile(r"(CRON_)?TZ=(?P<zone>\S+)\s+(?P<fields>.*)")


def for_target(text: str, target: Target) -> str:
    """The times as a platform takes them.

    Args:
        text: minute, hour, day of the month, month and day of the week (0 or SUN is Sunday). For
            Vertex AI a time zone may come first, as TZ=Europe/Berlin; it is UTC without one.
        target: the platform. Kubeflow Pipelines has the seconds as a first field.

    Raises:
        UserError: these are no such fields, a time that never comes, or a time zone that is none
            or that the platform has no place for.
    """
    zoned = _ZONE.fullmatch(text.strip())
    fields = _checked(text, zoned["fields"] if zoned else text)
    if zoned is None:
        return fields if target is Target.VERTEX else f"0 {fields}"
    if target is not Target.VERTEX:
        raise UserError(f"--cron {text}: {target} takes no time zone; it has one for all schedules")
    _check_zone(text, zoned["zone"])
    return f"TZ={zoned['zone']} {fields}"


def _checked(text: str, fields: str) -> str:
    given = fields.split()
    if len(given) != len(_FIELDS):
        names = ", ".join(field.name for field in _FIELDS)
        raise UserError(
            f'--cron {text}: {len(given)} fields; expected five, as "0 3 * * 1": {names}'
        )
    chosen = [_numbers(text, f, entry) for f, entry in zip(_FIELDS, given, strict=True)]
    _, _, days, months, weekdays = chosen
    # With days of the week chosen, these count beside the days of the month.
    if weekdays == _FIELDS[-1].all and min(days) > max(_LONGEST_MONTHS[m - 1] for m in months):
        raise UserError(f"--cron {text}: there is no such day in any of these months")
    return " ".join(given)


def _numbers(text: str, field: _Field, given: str) -> frozenset[int]:
    return frozenset[int]().union(*(_entry(text, field, entry) for entry in given.split(",")))


def _entry(text: str, field: _Field, entry: str) -> range:
    """The numbers of `*`, `n` or `n-m`, the first and last of which may have a step."""
    found = _ENTRY.fullmatch(entry)
    if found is None or (found["step"] and not (found["all"] or found["last"])):
        raise UserError(f"--cron {text}: {field.name} {entry}; expected *, N, N-M, */N or N-M/N")
    first = field.low if found["all"] else _number(text, field, found["first"])
    last = field.high if found["all"] else _number(text, field, found["last"] or found["first"])
    step = int(found["step"] or 1)
    if first > last or step == 0:
        raise UserError(f"--cron {text}: {field.name} {entry}; nothing is in it")
    return range(first, last + 1, step)


def _number(text: str, field: _Field, given: str) -> int:
    if given.upper() in field.names:
        return field.low + field.names.index(given.upper())
    if not given.isdecimal() or int(given) not in field.all:
        named = f" or {field.names[0]}-{field.names[-1]}" if field.names else ""
        raise UserError(
            f"--cron {text}: {field.name} {given}; expected {field.low}-{field.high}{named}"
        )
    return int(given)


def _check_zone(text: str, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UserError(
            f"--cron {text}: {zone} is no time zone; expected one as Europe/Berlin"
        ) from error
