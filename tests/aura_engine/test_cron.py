"""Cron: fields of cron, and what happens when clocks change, against facts from outside.

The changes are those of the IANA database: Europe/Berlin 2026-03-29 01:00 UTC (02:00 to 03:00) and 2026-10-25 01:00 UTC
(03:00 to 02:00); America/New_York 2026-03-08 07:00 UTC (02:00 to 03:00) and 2026-11-01 06:00 UTC (02:00 to 01:00);
Australia/Lord_Howe, by half an hour, 2026-04-04 15:00 UTC (02:00 to 01:30) and 2026-10-03 15:30 UTC (02:00 to 02:30).
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput, NaiveDatetime
from aura_contracts.workflow_schedule import RUNS_LIMIT, MissedRuns
from aura_engine.cron import CronSchedule, due_runs

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(expression: str, zone: str, start: str, count: int) -> list[str]:
    """Return the next moments after an instant, in UTC."""
    schedule, instant, found = CronSchedule.parse(expression, zone), at(start), []
    for _ in range(count):
        following = schedule.next_after(instant)
        assert following is not None
        assert following > instant
        assert following.tzinfo is UTC
        found.append(following.strftime("%m-%d %H:%M"))
        instant = following
    return found


# --- Fields


@pytest.mark.parametrize(
    ("expression", "start", "found"),
    [
        ("* * * * *", "2026-01-01T00:00:30", ["01-01 00:01", "01-01 00:02"]),
        ("*/20 * * * *", "2026-01-01T00:00", ["01-01 00:20", "01-01 00:40", "01-01 01:00"]),
        ("0 9-17/4 * * *", "2026-01-01T09:00", ["01-01 13:00", "01-01 17:00", "01-02 09:00"]),
        ("5,10 0 * * *", "2026-01-01T00:05", ["01-01 00:10", "01-02 00:05"]),
        ("0 0 * * MON", "2026-01-01T00:00", ["01-05 00:00", "01-12 00:00"]),
        ("0 0 * * mon-fri", "2026-01-02T00:00", ["01-05 00:00", "01-06 00:00"]),
        ("0 0 * * SAT-SUN", "2026-01-01T00:00", ["01-03 00:00", "01-04 00:00", "01-10 00:00"]),
        ("0 0 * * 0", "2026-01-01T00:00", ["01-04 00:00"]),
        ("0 0 * * 7", "2026-01-01T00:00", ["01-04 00:00"]),
        ("0 0 1 JAN,jul *", "2026-01-01T00:00", ["07-01 00:00", "01-01 00:00"]),
        ("0 0 13 * FRI", "2026-02-01T00:00", ["02-06 00:00", "02-13 00:00", "02-20 00:00"]),  # either
        ("0 0 */2 * MON", "2026-01-01T00:00", ["01-05 00:00", "01-19 00:00"]),  # both: it begins with a star
        ("0 0 31 * *", "2026-01-31T00:00", ["03-31 00:00", "05-31 00:00"]),
        ("@hourly", "2026-01-01T00:30", ["01-01 01:00"]),
        ("@daily", "2026-01-01T00:30", ["01-02 00:00"]),
        ("@weekly", "2026-01-01T00:30", ["01-04 00:00"]),
        ("@monthly", "2026-01-01T00:30", ["02-01 00:00"]),
        ("@yearly", "2026-01-01T00:30", ["01-01 00:00"]),
    ],
)
def test_fields_are_those_of_cron(expression: str, start: str, found: list[str]):
    assert moments(expression, "UTC", start, len(found)) == found


def test_rare_days_are_found():
    leap = CronSchedule.parse("0 0 29 2 *")
    assert leap.next_after(at("2096-03-01T00:00")) == at("2104-02-29T00:00")  # 2100 has none
    sunday = CronSchedule.parse("0 0 29 2 */7")  # both: on a Sunday
    assert sunday.next_after(at("2026-01-01T00:00")) == at("2032-02-29T00:00")
    assert sunday.next_after(at("2084-01-01T00:00")) == at("2088-02-29T00:00")
    assert sunday.next_after(at("2088-03-01T00:00")) == at("2128-02-29T00:00")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "has 0 fields, not 5"),
        ("* * * *", "has 4 fields, not 5"),
        ("* * * * * *", "has 6 fields, not 5"),
        ("60 * * * *", "minute '60': '60' is not one of 0 to 59"),
        ("* 24 * * *", "hour '24'"),
        ("* * 0 * *", "day of the month '0'"),
        ("* * * 13 *", "'13' is not one of 1 to 12 or JAN to DEC"),
        ("* * * * 8", "'8' is not one of 0 to 7 or SUN to SAT"),
        ("* * * MON *", "month 'MON'"),
        ("*/0 * * * *", "'0' is not one of 1 to 59"),
        ("*/60 * * * *", "'60' is not one of 1 to 59"),
        ("5/15 * * * *", "5/15 has a step without a range"),
        ("9-5 * * * *", "9-5 goes backwards"),
        ("1,,2 * * * *", "'' is not one of"),
        ("-1 * * * *", "'' is not one of"),
        ("1- * * * *", "'' is not one of"),
        ("\u0661 * * * *", "is not one of"),
        ("* * L * *", "'L' is not one of"),
        ("* * ? * *", "'?' is not one of"),
        ("* * * * MON#2", "'MON#2' is not one of"),
        ("@reboot", "has 1 fields"),
        ("0 0 30 2 *", "no month that it names has a day 30"),
        ("0 0 31 2,4,6,9,11 *", "no month that it names has a day 31"),
        ("*," * 150 + "* * * * *", "the limit is 200"),
        ("99999999999999999999 * * * *", "is not one of"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_field(expression: str, reason: str):
    with pytest.raises(InvalidInput) as caught:
        CronSchedule.parse(expression)
    assert caught.value.field == "cron"
    assert reason in caught.value.reason
    assert caught.value.remedy


@pytest.mark.parametrize(
    "zone", ["Europe/Berln", "", "../../etc/passwd", "/etc/localtime", "Europe", "Europe/Berlin\0"]
)
def test_an_unknown_zone_is_refused(zone: str):
    with pytest.raises(InvalidInput) as caught:
        CronSchedule.parse("* * * * *", zone)
    assert caught.value.field == "zone"


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(NaiveDatetime):
        CronSchedule.parse("* * * * *").next_after(datetime(2026, 1, 1))  # noqa: DTZ001


# --- Changes of clocks


@pytest.mark.parametrize(
    ("expression", "zone", "start", "found"),
    [
        # skipped: a time of day comes at the first moment after the change
        ("30 2 * * *", BERLIN, "2026-03-28T01:30", ["03-29 01:00", "03-30 00:30"]),
        ("0,30 2 * * *", BERLIN, "2026-03-28T01:30", ["03-29 01:00", "03-30 00:00", "03-30 00:30"]),
        ("30 2,3 * * *", BERLIN, "2026-03-28T02:30", ["03-29 01:00", "03-29 01:30", "03-30 00:30"]),
        ("30 2 * * *", NEW_YORK, "2026-03-07T07:30", ["03-08 07:00", "03-09 06:30"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-02T15:45", ["10-03 15:30", "10-04 15:15"]),
        # doubled: it comes the first time
        ("30 2 * * *", BERLIN, "2026-10-24T00:30", ["10-25 00:30", "10-26 01:30"]),
        ("30 1 * * *", NEW_YORK, "2026-10-31T05:30", ["11-01 05:30", "11-02 06:30"]),
        ("45 1 * * *", LORD_HOWE, "2026-04-03T14:45", ["04-04 14:45", "04-05 15:15"]),
        # from within the second time, the first one is over
        ("30 2 * * *", BERLIN, "2026-10-25T01:10", ["10-26 01:30"]),
        ("30 1 * * *", NEW_YORK, "2026-11-01T06:10", ["11-02 06:30"]),
        # intervals: what is skipped does not come, what is doubled comes twice
        ("*/30 * * * *", BERLIN, "2026-03-29T00:00", ["03-29 00:30", "03-29 01:00", "03-29 01:30"]),
        ("*/30 * * * *", BERLIN, "2026-10-25T00:00", ["10-25 00:30", "10-25 01:00", "10-25 01:30", "10-25 02:00"]),
        ("30 * * * *", NEW_YORK, "2026-03-08T06:00", ["03-08 06:30", "03-08 07:30"]),
        ("30 * * * *", NEW_YORK, "2026-11-01T05:00", ["11-01 05:30", "11-01 06:30", "11-01 07:30"]),
        ("*/10 2 * * *", BERLIN, "2026-03-28T02:00", ["03-30 00:00"]),
        ("30 * * * *", LORD_HOWE, "2026-04-04T14:00", ["04-04 14:30", "04-04 15:00", "04-04 16:00"]),
        ("0 * * * *", LORD_HOWE, "2026-04-04T13:30", ["04-04 14:00", "04-04 15:30", "04-04 16:30"]),
        ("0 * * * *", LORD_HOWE, "2026-10-03T14:00", ["10-03 14:30", "10-03 16:00"]),
        ("*/15 2 * * *", LORD_HOWE, "2026-10-03T14:00", ["10-03 15:30", "10-03 15:45", "10-04 15:00"]),
        # around midnight, and a day that Samoa left out
        ("30 0 * * *", "America/Havana", "2026-03-07T05:30", ["03-08 05:00", "03-09 04:30"]),
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00", ["12-30 10:00", "12-29 22:00"]),
        ("15 23 * * *", "America/St_Johns", "2006-10-28T00:00", ["10-28 01:45", "10-29 01:45", "10-30 02:45"]),
    ],
)
def test_clocks_change(expression: str, zone: str, start: str, found: list[str]):
    assert moments(expression, zone, start, len(found)) == found


def by_the_minute(schedule: CronSchedule, start: datetime, minutes: int) -> list[datetime]:
    """Return the moments in the minutes after an instant, found by looking at the clock every minute.

    As Debian's cron does: an interval runs if the clock shows its time. A time of day runs if the clock shows it for
    the first time, and if the clock has jumped over it.
    """
    zone, found, shown = schedule.zone, [], set()
    previous = (start - timedelta(days=1)).astimezone(zone).replace(tzinfo=None)
    for number in range(-1440, minutes + 1):
        instant = start + timedelta(minutes=number)
        clock = instant.astimezone(zone).replace(tzinfo=None)
        passed = [clock]
        while not schedule.is_interval and previous + timedelta(minutes=1) < passed[0]:
            passed.insert(0, passed[0] - timedelta(minutes=1))
        due = [
            one
            for one in passed
            if one.hour * 60 + one.minute in schedule.times
            and schedule._is_on(one.date())
            and (schedule.is_interval or one not in shown)
        ]
        shown.update(passed)
        if due and number > 0:
            found.append(instant)
        previous = max(previous, clock)
    return found


FIELDS = (
    st.sampled_from(["*", "0", "30", "*/15", "0,30", "15-45/10"]),
    st.sampled_from(["*", "0", "1-3", "2", "*/2", "23"]),
)


@settings(deadline=None, max_examples=40)
@given(
    *FIELDS,
    st.sampled_from(["* * *", "* * SUN", "29 * *", "1-7 * SUN", "*/2 * 0,1"]),
    st.sampled_from(
        [
            (BERLIN, "2026-03-28T21:00"),
            (BERLIN, "2026-10-24T21:00"),
            (NEW_YORK, "2026-03-08T01:00"),
            (NEW_YORK, "2026-11-01T01:00"),
            (LORD_HOWE, "2026-04-04T10:00"),
            (LORD_HOWE, "2026-10-03T10:00"),
            ("America/Havana", "2026-11-01T01:00"),
            ("America/St_Johns", "2006-10-28T22:00"),
            ("Asia/Kathmandu", "2026-05-01T00:00"),
        ]
    ),
    st.integers(0, 600),
)
def test_moments_are_those_that_a_clock_shows(minute, hour, days, place, offset):
    schedule = CronSchedule.parse(f"{minute} {hour} {days}", place[0])
    start = at(place[1]) + timedelta(minutes=offset)
    expected = by_the_minute(schedule, start, 24 * 60)
    instant, found = start, []
    while (following := schedule.next_after(instant)) is not None and following <= start + timedelta(days=1):
        found.append(following)
        instant = following
    assert found == expected
    for one, other in pairwise([*expected, start + timedelta(days=1)]):
        if one < other:
            assert schedule.last_until(other - timedelta(seconds=1)) == one


# --- Missed runs


def test_missed_runs_follow_their_policy():
    hourly = CronSchedule.parse("0 * * * *")
    after, now = at("2026-01-01T00:00"), at("2026-01-01T03:30")
    assert due_runs(hourly, after, now, MissedRuns.SKIP) == ()
    assert due_runs(hourly, after, now, MissedRuns.ONCE) == (at("2026-01-01T03:00"),)
    assert due_runs(hourly, after, now, MissedRuns.ALL) == tuple(at(f"2026-01-01T0{hour}:00") for hour in (1, 2, 3))


def test_a_moment_that_has_just_come_is_not_missed():
    hourly = CronSchedule.parse("0 * * * *")
    for policy in MissedRuns:
        now = at("2026-01-01T01:00:20")
        assert due_runs(hourly, at("2026-01-01T00:00"), now, policy) == (at("2026-01-01T01:00"),)
        assert due_runs(hourly, at("2026-01-01T01:00"), now, policy) == ()
    late = at("2026-01-01T03:00:20")
    assert due_runs(hourly, at("2026-01-01T00:00"), late, MissedRuns.SKIP) == (at("2026-01-01T03:00"),)


def test_what_is_made_up_for_is_bounded():
    every = CronSchedule.parse("* * * * *")
    runs = due_runs(every, at("2020-01-01T00:00"), at("2026-01-01T00:00"), MissedRuns.ALL)
    assert len(runs) == RUNS_LIMIT
    assert runs[-1] == at("2026-01-01T00:00")
    assert runs[0] == at("2026-01-01T00:00") - timedelta(minutes=RUNS_LIMIT - 1)


def test_a_clock_that_was_set_back_repeats_nothing():
    hourly = CronSchedule.parse("0 * * * *")
    assert due_runs(hourly, at("2026-01-01T05:00"), at("2026-01-01T03:30"), MissedRuns.ALL) == ()


def test_the_ends_of_time_are_no_error():
    every = CronSchedule.parse("0 0 * * *", BERLIN)
    assert every.next_after(datetime.max.replace(tzinfo=UTC) - timedelta(days=3)) is None
    assert every.last_until(datetime.min.replace(tzinfo=UTC) + timedelta(days=3)) is not None
    assert CronSchedule.parse("0 0 1 1 *").next_after(at("9000-01-01T00:00")) == at("9001-01-01T00:00")
    assert every.zone == ZoneInfo(BERLIN)
