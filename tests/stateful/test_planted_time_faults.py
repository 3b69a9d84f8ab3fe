"""The machine can fail about time, too: timers that are lost, early or twice, and people who are told wrongly."""

from datetime import timedelta

import anyio
import pytest
from test_planted_faults import Fault, create, require_found

from aura_contracts.approval import Approval
from aura_contracts.service import SERVICE, SERVICE_ID
from aura_contracts.timers import TimerPurpose
from aura_engine.clockwork import effects
from aura_engine.clockwork.wall_clock import WallClock
from aura_engine.facade.service_turn import Serving
from aura_engine.notification.lane import DeliveryLane, OpenChannel
from aura_engine.notification.settings import NotificationSettings, PersonSettings


def at_hour(machine, hour):
    """Set the clock to the next time at which it is this hour, in UTC."""
    now = machine.now()
    then = now.replace(hour=hour, minute=0, second=0)
    then += timedelta(days=1) if then <= now else timedelta()
    machine.set_clock((then - now).total_seconds() / 3600, back=False, wait=True)


def ask(machine, *labels, review=()):
    create(machine, labels=labels, review={"reviewers": list(review)} if review else {}, way="executor")
    machine.finish(0, "changes", wait=True)


def time_story(machine, fault):
    """Questions wait, the clock is set forward and back, and one service takes over from another."""
    machine.start([2])
    at_hour(machine, 13)
    machine.serve(0)
    ask(machine, "watched", review=["bob"])
    ask(machine, "brief")
    machine.set_clock(0.1, back=False, wait=True)
    machine.set_clock(1.1, back=False, wait=True)
    machine.set_clock(25, back=True, wait=True)
    machine.set_clock(26.5, back=False, wait=True)
    machine.open(1)
    machine.serve(0)
    machine.crash(0)
    machine.set_clock(25, back=False, wait=True)
    ask(machine, "brief")
    machine.jump_while_all_is_held(24 * 365.0)
    fault.done(machine)


def post_story(machine, fault):
    """People are asked by channels that work and that do not, at all hours, and services are killed."""
    machine.start([2])
    at_hour(machine, 13)
    machine.serve(0)
    machine.change_dead_channel("refuses")
    machine.fail_to_send(3)
    ask(machine, review=["bob", "carol", "dave"])
    machine.crash(0)
    machine.open(0)
    machine.serve(0)
    create(machine, way="executor")
    machine.finish(0, "fails", wait=True)
    at_hour(machine, 3)
    ask(machine, review=["bob"])
    machine.die_at_a_letter(0)
    ask(machine, review=["dave"])
    machine.open(0)
    machine.serve(0)
    machine.set_clock(25, back=False, wait=True)
    fault.done(machine)


def sleep_story(machine, fault):
    """A message waits for more than a day, in which no service runs."""
    machine.start([2])
    at_hour(machine, 13)
    machine.serve(0)
    ask(machine, review=["dave"])
    machine.crash(0)
    machine.set_clock(25, back=False, wait=True)
    machine.open(0)
    machine.serve(0)
    fault.done(machine)


async def fire_all_but_reminders(bus, timer, drive):
    return timer.purpose is not TimerPurpose.REMIND and await effects.fire(bus, timer, drive)


TURN = Serving._turn


async def wait_forever_unless_first(serving):
    if await serving._core.bus.fetch(SERVICE, SERVICE_ID) is not None:
        await anyio.sleep_forever()
    await TURN(serving)


SEND = OpenChannel.send


async def send_twice(channel, queued, address, links=""):
    await SEND(channel, queued, address, links)
    await SEND(channel, queued, address, links)


async def send_nothing(*_):
    return None


def everyone(settings, *_, **__):
    return list(settings.people.values())


def soon(time, seconds):
    return None if seconds is None else time + timedelta(seconds=seconds / 2)


STATE = "aura_contracts.approval.state"
TIME = {
    "none": Fault(""),
    "a timer is lost": Fault("reminds of", (("aura_engine.clockwork.timekeeper", "fire", fire_all_but_reminders),)),
    "a timer is early": Fault("people are asked in time|is not early", ((STATE, "_after", soon),)),
    "a timer fires twice": Fault("nor sent twice", ((STATE, "_reminder", lambda _, time: time),)),
    "a question is escalated twice": Fault("escalated once", ((Approval, "not_asked", lambda _, names: tuple(names)),)),
    "nothing is held after a jump": Fault("held after a jump", ((WallClock, "held", lambda _: 0.0),)),
    "no second service takes over": Fault("reminds of|tells", ((Serving, "_turn", wait_forever_unless_first),)),
}
POST = {
    "none of notifications": Fault(""),
    "a message is sent twice": Fault("a second time", ((OpenChannel, "send", send_twice),)),
    "a message is not sent": Fault("and was not", ((OpenChannel, "send", send_nothing),)),
    "everyone is told": Fault("does not concern them", ((NotificationSettings, "audience", everyone),)),
    "people are disturbed in quiet hours": Fault("in quiet hours", ((PersonSettings, "held_until", lambda *_: None),)),
    "a digest comes at once": Fault(
        "a digest is not early", ((PersonSettings, "digest_after", lambda _, moment: moment),)
    ),
    "what waits is forgotten by a kill": Fault("tells", ((DeliveryLane, "first_position", None),)),
    "dead letters are forgotten": Fault("is kept", (("aura_engine.facade.notifications", "_rows", lambda *_: ()),)),
}
SLEEP = {
    "a message is given up at once": Fault(
        "given up after one attempt", ((DeliveryLane, "_was_tried", lambda _: True),)
    ),
    "none of sleep": Fault(""),
}
QUICK = ("a timer fires twice", "a message is sent twice")


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.deep] * (one not in QUICK)) for one in TIME])
def test_what_is_done_at_the_wrong_time_is_found(name):
    require_found(TIME[name], time_story)


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.deep] * (one not in QUICK)) for one in POST])
def test_who_is_told_wrongly_is_found(name):
    require_found(POST[name], post_story)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("name", SLEEP)
def test_what_is_given_up_too_soon_is_found(name):
    require_found(SLEEP[name], sleep_story)
