"""Schedules as users write them, and the payloads of workflows that the clock starts. Fires nothing.

croniter reads the fields; what a time means on the clock is `polos.core.cron`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from polos.authoring.payload import SchedulePayload, instant
from polos.core import codec
from polos.core.cron import CronFields, is_possible
from polos.core.manifest import ScheduleRule
from polos.core.model import Stored
from polos.errors import InvalidInput, UsageError

_NAMES = ("minute", "hour", "day of the month", "month", "day of the week")
_RANGES = (range(60), range(24), range(1, 32), range(1, 13), range(7))
_FIELD = re.compile(
    r"[\d*,/\-]*(?:(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT)[\d*,/\-]*)*"
)
_ALIASES = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_OPTIONS = {"cron", "timezone", "key", "catchup", "overlap"}
_CATCHUP, _OVERLAP = ("latest", "all", "skip"), ("skip", "allow", "queue")
_HINT = 'five fields: minute hour day-of-month month day-of-week, such as "0 9 * * MON-FRI"'


@cache
def parse_cron(expression: str) -> CronFields:
    """Returns what a cron expression means.

    Raises:
        UsageError: it is none, or is never due; names the field.
    """
    if not isinstance(expression, str):
        raise UsageError(f"a cron expression is text, not {expression!r}", hint=_HINT)
    fields = _ALIASES.get(expression.strip().lower(), expression).split()
    if len(fields) != 5:
        what = f"{len(fields)} fields" if fields and not fields[0].startswith("@") else "no field that is known"
        raise UsageError(f"the cron expression {expression!r} has {what}, not five", hint=_HINT)
    sets = [_values(expression, index, field) for index, field in enumerate(fields)]
    parsed = CronFields(
        minutes=sets[0], hours=sets[1], days=sets[2], months=sets[3], weekdays=sets[4],
        is_either=not fields[2].startswith("*") and not fields[4].startswith("*"),
        is_elapsed=fields[0].startswith("*") or fields[1].startswith("*"),
    )  # fmt: skip
    if not is_possible(parsed):
        raise UsageError(
            f"the cron expression {expression!r} is never due: no year has such a day ({fields[2]} in month {fields[3]})"
        )
    return parsed


def _values(expression: str, index: int, field: str) -> frozenset[int]:
    from croniter import CroniterError, croniter

    wrong = f"in the cron expression {expression!r}, {field!r} cannot be a {_NAMES[index]}"
    if not _FIELD.fullmatch(field.upper()):
        raise UsageError(wrong, hint="numbers, names, and * , - / are known")
    alone = ["*"] * 5
    alone[index] = field
    try:
        (values, *_), _ = _of_field(croniter.expand(" ".join(alone)), index)
    except (CroniterError, ValueError, KeyError) as error:
        allowed = f"{_RANGES[index][0]} to {7 if index == 4 else _RANGES[index][-1]}"
        raise UsageError(wrong, hint=f"it lies from {allowed}") from error
    return frozenset(_RANGES[index]) if "*" in values else frozenset(int(value) for value in values)


def _of_field(expanded: Any, index: int) -> tuple[list[list[Any]], Any]:
    lists, more = expanded
    return [lists[index]], more


def check_timezone(name: str) -> str:
    """Returns the name of a time zone that there is. Raises `UsageError`."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        import difflib
        from zoneinfo import available_timezones

        close = difflib.get_close_matches(str(name), available_timezones(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else 'an IANA name, such as "Europe/Berlin"'
        raise UsageError(f"there is no time zone {name!r}", hint=hint) from error
    return name


def rule(
    workflow_id: str, cron: str, timezone: str = "UTC", key: str = "global", catchup: str = "latest",
    overlap: str = "skip",
) -> ScheduleRule:  # fmt: skip
    """Returns a checked rule. Raises `UsageError`."""
    if catchup not in _CATCHUP:
        raise UsageError(f"catchup is one of {', '.join(_CATCHUP)}, not {catchup!r}")
    if overlap not in _OVERLAP:
        raise UsageError(f"overlap is one of {', '.join(_OVERLAP)}, not {overlap!r}")
    if not isinstance(key, str) or not key or len(key) > 512:
        raise UsageError(f"a schedule's key is text of 1 to 512 characters, not {key!r}")
    return ScheduleRule(
        workflow_id=workflow_id, cron=cron.strip() if isinstance(cron, str) else cron, fields=parse_cron(cron),
        timezone=check_timezone(timezone), key=key, catchup=cast('Literal["latest", "all", "skip"]', catchup),
        overlap=cast('Literal["skip", "allow", "queue"]', overlap),
    )  # fmt: skip


def schedule_of(workflow_id: str, given: object) -> ScheduleRule | None:
    """Returns the schedule that a workflow declares, checked; None: none. Raises `UsageError`."""
    if given is None or isinstance(given, bool):
        return None  # True: it may be scheduled by the API, as any workflow may
    if isinstance(given, str):
        return rule(workflow_id, given)
    if isinstance(given, Mapping):
        unknown = set(given) - _OPTIONS
        if unknown or "cron" not in given:
            what = f"does not know {', '.join(sorted(map(repr, unknown)))}" if unknown else "has no 'cron'"
            raise UsageError(f"the schedule of {workflow_id!r} {what}", hint="it takes " + ", ".join(sorted(_OPTIONS)))
        return rule(workflow_id, **given)
    raise UsageError(
        f"the schedule of {workflow_id!r} is {given!r}",
        hint='a cron expression, or {"cron": "0 9 * * *", "timezone": "Europe/Berlin"}',
    )


def encode_slot(payload: Any, workflow_id: str) -> Stored:
    """Returns a slot that a caller makes up as slots are stored; None: the instant of the start. Raises `InvalidInput`."""
    if payload is None:
        return codec.encode(None)
    if isinstance(payload, SchedulePayload):
        return codec.encode({name: getattr(payload, name) for name in SchedulePayload.__slots__})
    from polos.authoring.typed import validate_input

    checked = validate_input(payload, SchedulePayload, workflow_id)
    if not isinstance(checked, SchedulePayload):
        raise InvalidInput(f"the payload for {workflow_id!r} is no slot of a schedule")
    return encode_slot(checked, workflow_id)


def decode_slot(stored: Stored, created_at: int) -> SchedulePayload:
    """Returns the slot that started a workflow; one started by hand has the instant of its start."""
    fields = codec.decode(stored)
    if fields is None:
        return SchedulePayload(timestamp=instant(created_at), key="by hand")
    return SchedulePayload(**{name: value for name, value in fields.items() if name in SchedulePayload.__slots__})
