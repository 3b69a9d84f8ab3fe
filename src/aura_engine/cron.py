"""Cron: when something is due again, by a cron expression and a time zone. Pure.

    schedule = CronSchedule.parse("30 2 * * MON-FRI", "Europe/Berlin")
    schedule.next_after(instant)

An expression has the five fields of cron: minute, hour, day of the month, month, day of the week. Each is ``*``, a
number, a range, a step (``*/15``, ``8-18/2``), or a list of these; months and days of the week have names too, and
Sunday is 0 or 7. If both day fields are restricted, either of them is enough; a field that begins with ``*`` counts as
not restricted (as in Vixie's and Debian's cron). ``@hourly``, ``@daily``, ``@weekly``, ``@monthly`` and ``@yearly``
stand for the usual five fields.

When clocks change, as Debian's cron does it:

- A time of day (neither minute nor hour begins with ``*``) comes once on its day. One that is skipped comes at the
  first moment after the change, and several that are skipped come as one; one that is doubled comes the first time.
- An interval (minute or hour begins with ``*``) follows the clock: what is skipped does not come, and what is doubled
  comes twice, so ``*/15 * * * *`` is every 15 minutes all the time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo

import attrs

from aura_contracts.errors import InvalidInput, NaiveDatetime
from aura_contracts.workflow_schedule import RUNS_LIMIT, MissedRuns

HORIZON = 50
"""Years to look for the next moment: ``0 0 29 2 *`` may need 8, and on a certain day of the week 40."""

EXPRESSION_LIMIT = 200
"""Characters of an expression."""

_SHORT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_MONTHS = tuple("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split())  # noqa: SIM905 - as people write them
_DAYS = tuple("SUN MON TUE WED THU FRI SAT".split())  # noqa: SIM905

_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, in a leap year."""

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


@attrs.frozen
class _Field:
    """A field: its name, its range and the names of its numbers."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def parse(self, text: str) -> frozenset[int]:
        return frozenset(number for term in text.split(",") for number in self._term(term, text))

    def _term(self, term: str, text: str) -> range:
        span, stepped, step_text = term.partition("/")
        step = self._number(step_text, text, 1, self.high) if stepped else 1
        if span == "*":
            return range(self.low, self.high + 1, step)
        first, ranged, last = span.partition("-")
        low = self._place(first, text)
        if not ranged:
            if stepped:
                raise self._refused(
                    text, f"{term} has a step without a range", f"write {first}-{self.high}/{step_text}"
                )
            return range(low, low + 1)
        high = self._place(last, text)
        if high == 0 and self.name == "day of the week":
            high = 7  # a week that ends on Sunday
        if high < low:
            raise self._refused(text, f"{span} goes backwards", "write the lower end first, or two ranges with a comma")
        return range(low, high + 1, step)

    def _place(self, word: str, text: str) -> int:
        if word.upper() in self.names:
            return self.names.index(word.upper()) + (1 if self.low else 0)
        return self._number(word, text, self.low, self.high)

    def _number(self, word: str, text: str, low: int, high: int) -> int:
        if not (word.isascii() and word.isdigit() and len(word) <= 2 and low <= int(word) <= high):
            named = f" or {self.names[0]} to {self.names[-1]}" if self.names and low == self.low else ""
            raise self._refused(text, f"{word!r} is not one of {low} to {high}{named}", "see the fields of cron")
        return int(word)

    def _refused(self, text: str, reason: str, remedy: str) -> InvalidInput:
        return InvalidInput(field="cron", reason=f"{self.name} {text!r}: {reason}", remedy=remedy)


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _DAYS),
)


@attrs.frozen
class CronSchedule:
    """The moments of a cron expression in a time zone. Instants are aware, results are in UTC."""

    expression: str
    zone: ZoneInfo
    times: tuple[int, ...]
    """Minutes of the day, in order."""
    month_days: frozenset[int]
    months: frozenset[int]
    week_days: frozenset[int]
    """Of ISO 8601: Monday is 1."""
    either_day: bool
    """Whether one of the day fields is enough."""
    is_interval: bool
    """Whether it follows the clock through its changes; otherwise it is a time of day."""

    @classmethod
    def parse(cls, expression: str, zone: str = "UTC") -> Self:
        """Return the schedule of an expression. Raises `InvalidInput` with the field and what is wrong in it."""
        if len(expression) > EXPRESSION_LIMIT:
            reason = f"it has {len(expression)} characters; the limit is {EXPRESSION_LIMIT}"
            raise InvalidInput(field="cron", reason=reason, remedy="shorten it")
        texts = _SHORT.get(expression.strip().lower(), expression).split()
        if len(texts) != len(_FIELDS):
            remedy = f"give {', '.join(field.name for field in _FIELDS)}, or one of {', '.join(_SHORT)}"
            reason = f"{expression!r} has {len(texts)} fields, not {len(_FIELDS)}"
            raise InvalidInput(field="cron", reason=reason, remedy=remedy)
        minutes, hours, days, months, week = _numbers(expression, texts)
        either = not texts[2].startswith("*") and not texts[4].startswith("*")
        if not either and min(days) > max(_LONGEST[month - 1] for month in months):
            reason = f"{expression!r}: no month that it names has a day {min(days)}"
            raise InvalidInput(field="cron", reason=reason, remedy="name a day that exists")
        return cls(
            expression=" ".join(texts),
            zone=zone_of(zone),
            times=tuple(hour * 60 + minute for hour in sorted(hours) for minute in sorted(minutes)),
            month_days=days,
            months=months,
            week_days=frozenset(day or 7 for day in week),
            either_day=either,
            is_interval=texts[0].startswith("*") or texts[1].startswith("*"),
        )

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first moment after an instant; None if none comes within `HORIZON` years.

        Raises `NaiveDatetime`.
        """
        here = _local(instant, self.zone)
        last = min(here.year + HORIZON, date.max.year - 1)
        found: datetime | None = None
        for day in self._days(max(here.date(), date.min + _DAY) - _DAY, last):
            if found is not None and (self._is_even(day) or day > found.astimezone(self.zone).date() + _DAY):
                break  # only days around a change of clocks may come in another order than their moments
            moment = self._first_of(day, instant)
            if moment is not None and (found is None or moment < found):
                found = moment
            if found is not None and self._is_even(day):
                break
        return found

    def last_until(self, instant: datetime) -> datetime | None:
        """Return the latest moment at or before an instant; None if none comes within `HORIZON` years."""
        here = _local(instant, self.zone)
        day = min(here.date(), date.max - _DAY) + _DAY
        first = date(max(here.year - HORIZON, 1), 1, 1) + _DAY
        found: datetime | None = None
        while day >= first:
            moment = self._last_of(day, instant) if self._is_on(day) else None
            if moment is not None and (found is None or moment > found):
                found = moment
            if found is not None and day < found.astimezone(self.zone).date():
                return found
            day -= _DAY
        return found

    # --- Days

    def _days(self, day: date, last: int) -> Iterator[date]:
        """Yield the days of the schedule from `day` on, through the year `last`."""
        while day.year <= last:
            if day.month not in self.months:
                day = (day.replace(day=1) + 32 * _DAY).replace(day=1)
                continue
            if self._is_on(day):
                yield day
            day += _DAY

    def _is_on(self, day: date) -> bool:
        in_month, in_week = day.day in self.month_days, day.isoweekday() in self.week_days
        return day.month in self.months and ((in_month or in_week) if self.either_day else (in_month and in_week))

    def _is_even(self, day: date) -> bool:
        """Whether the clock does not change on a day, nor just before or after it."""
        return _offset(day, self.zone) is not None

    def _first_of(self, day: date, instant: datetime) -> datetime | None:
        """Return the first moment of a day after an instant."""
        offset = _offset(day, self.zone)
        if offset is None:
            moments = self._moments(day)
            place = bisect_right(moments, instant)
            return moments[place] if place < len(moments) else None
        start = datetime.combine(day, time(), UTC) - offset
        place = bisect_right(self.times, (instant - start) // _MINUTE)
        return start + self.times[place] * _MINUTE if place < len(self.times) else None

    def _last_of(self, day: date, instant: datetime) -> datetime | None:
        """Return the last moment of a day that is not after an instant."""
        offset = _offset(day, self.zone)
        if offset is None:
            moments = self._moments(day)
            place = bisect_right(moments, instant)
            return moments[place - 1] if place else None
        start = datetime.combine(day, time(), UTC) - offset
        place = bisect_right(self.times, (instant - start) // _MINUTE)
        return start + self.times[place - 1] * _MINUTE if place else None

    def _moments(self, day: date) -> tuple[datetime, ...]:
        return _moments(self.zone, self.times, day, is_interval=self.is_interval)


def _numbers(expression: str, texts: Sequence[str]) -> Iterator[frozenset[int]]:
    """Yield the numbers of each field. Raises `InvalidInput`, which says at which column the field begins."""
    column = 0
    for field, text in zip(_FIELDS, texts, strict=True):
        column = max(expression.find(text, column), 0)  # of a short form all fields are correct
        try:
            yield field.parse(text)
        except InvalidInput as error:
            raise error.replaced(reason=f"column {column + 1}, {error.reason}") from None
        column += len(text)


@lru_cache(maxsize=256)
def _moments(zone: ZoneInfo, times: tuple[int, ...], day: date, *, is_interval: bool) -> tuple[datetime, ...]:
    """Return all moments of a day, in order."""
    moments: set[datetime] = set()
    for minutes in times:
        first, second = (
            datetime.combine(day, time(*divmod(minutes, 60)), zone).replace(fold=fold).astimezone(UTC)
            for fold in (0, 1)
        )
        if first == second:
            moments.add(first)
        elif first < second:  # doubled: PEP 495 has the earlier one first
            moments |= {first, second} if is_interval else {first}
        elif not is_interval:  # skipped, and it would be before the change for one, after it for the other
            moments.add(_change_between(second, first, zone))
    return tuple(sorted(moments))


def due_runs(
    schedule: CronSchedule, after: datetime, now: datetime, missed: MissedRuns, grace: timedelta = _MINUTE
) -> tuple[datetime, ...]:
    """Return the moments to run now: those after the instant `after`, which is the last one dealt with, until `now`.

    A moment is missed if it is more than `grace` in the past; one that is not runs whatever the policy says.
    """
    found: list[datetime] = []
    moment = schedule.last_until(now)
    while moment is not None and moment > after and len(found) < RUNS_LIMIT:
        if missed is not MissedRuns.ALL and (found or (missed is MissedRuns.SKIP and moment < now - grace)):
            break
        found.append(moment)
        moment = schedule.last_until(moment - timedelta(microseconds=1))
    return tuple(reversed(found))


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of a name, such as ``Europe/Berlin``. Raises `InvalidInput`."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown, a path out of the folder, a folder
        remedy = "give a name of the IANA database, such as Europe/Berlin or UTC"
        raise InvalidInput(field="zone", reason=f"there is no time zone {name!r}", remedy=remedy) from error


def _local(instant: datetime, zone: ZoneInfo) -> datetime:
    if instant.utcoffset() is None:
        raise NaiveDatetime(field="instant", reason="it has no time zone")
    return instant.astimezone(zone)


@lru_cache(maxsize=4096)
def _offset(day: date, zone: ZoneInfo) -> timedelta | None:
    """Return the offset of a zone from UTC; None for a day on which, or next to which, it changes."""
    start = datetime.combine(day, time(), UTC) - _DAY
    offsets = {(start + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in range(0, 73, 2)}
    return offsets.pop() if len(offsets) == 1 else None


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first second at which a zone has the offset that it has at `after`, but not at `before`."""
    seconds = range(int((after - before).total_seconds()) + 1)
    old = before.astimezone(zone).utcoffset()

    def changed(second: int) -> bool:
        return (before + timedelta(seconds=second)).astimezone(zone).utcoffset() != old

    return before + timedelta(seconds=bisect_left(seconds, 1, key=lambda second: int(changed(second))))
