"""Time limits, without any process."""

from aura_executors.supervisor.time_limits import TimeLimits


def ahead(limits: TimeLimits) -> dict[str, float]:
    return {cause: due for due, cause, _ in limits.upcoming()}


def test_time_without_limits() -> None:
    assert TimeLimits(None, None, 7.0).upcoming() == []


def test_output_moves_the_idle_limit_only() -> None:
    limits = TimeLimits(100, 10, 5.0)
    assert ahead(limits) == {"timeout": 105, "idle_timeout": 15}
    limits.note_output(12.0)
    assert ahead(limits) == {"timeout": 105, "idle_timeout": 22}


def test_output_that_is_not_read_stops_the_idle_limit_only() -> None:
    limits = TimeLimits(100, 10, 0.0)
    limits.hold(5.0, held=True)
    assert ahead(limits) == {"timeout": 100}
    limits.hold(50.0, held=True)
    limits.hold(60.0, held=False)
    limits.hold(61.0, held=False)
    assert ahead(limits) == {"timeout": 100, "idle_timeout": 70}


def test_waiting_for_a_human_stops_both() -> None:
    limits = TimeLimits(100, 10, 0.0)
    limits.wait(4.0, waiting=False)
    limits.wait(5.0, waiting=True)
    limits.wait(8.0, waiting=True)
    limits.note_output(9.0)
    assert ahead(limits) == {}
    limits.wait(1005.0, waiting=False)
    assert ahead(limits) == {"timeout": 1100, "idle_timeout": 1015}


def test_appointments_hold_whatever_it_waits_for_and_the_first_of_each_kind() -> None:
    limits = TimeLimits(100, None, 0.0)
    limits.wait(1.0, waiting=True)
    assert limits.schedule_end(3.0, "exit_grace", "goodbye")
    assert not limits.schedule_end(2.0, "exit_grace", "again")
    assert limits.schedule_end(4.0, "interrupted", "enough")
    assert limits.upcoming() == [(3.0, "exit_grace", "goodbye"), (4.0, "interrupted", "enough")]
