"""Limits, without any process."""

from aura_executors._limits import Limits


def ahead(limits: Limits) -> dict[str, float]:
    return {cause: due for due, cause, _ in limits.ahead()}


def test_time_without_limits() -> None:
    assert Limits(None, None, 7.0).ahead() == []


def test_output_moves_the_idle_limit_only() -> None:
    limits = Limits(100, 10, 5.0)
    assert ahead(limits) == {"timeout": 105, "idle_timeout": 15}
    limits.note_output(12.0)
    assert ahead(limits) == {"timeout": 105, "idle_timeout": 22}


def test_output_that_is_not_read_stops_the_idle_limit_only() -> None:
    limits = Limits(100, 10, 0.0)
    limits.hold(5.0, held=True)
    assert ahead(limits) == {"timeout": 100}
    limits.hold(50.0, held=True)
    limits.hold(60.0, held=False)
    limits.hold(61.0, held=False)
    assert ahead(limits) == {"timeout": 100, "idle_timeout": 70}


def test_waiting_for_a_human_stops_both() -> None:
    limits = Limits(100, 10, 0.0)
    limits.wait(4.0, waiting=False)
    limits.wait(5.0, waiting=True)
    limits.wait(8.0, waiting=True)
    limits.note_output(9.0)
    assert ahead(limits) == {}
    limits.wait(1005.0, waiting=False)
    assert ahead(limits) == {"timeout": 1100, "idle_timeout": 1015}


def test_appointments_hold_whatever_it_waits_for_and_the_first_of_each_kind() -> None:
    limits = Limits(100, None, 0.0)
    limits.wait(1.0, waiting=True)
    assert limits.appoint(3.0, "farewell", "goodbye")
    assert not limits.appoint(2.0, "farewell", "again")
    assert limits.appoint(4.0, "interrupted", "enough")
    assert limits.ahead() == [(3.0, "farewell", "goodbye"), (4.0, "interrupted", "enough")]
