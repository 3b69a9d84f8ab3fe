"""Subscriptions: what they refuse, how they end, and what their errors do not affect."""

import functools
import gc
import sqlite3
import threading
from asyncio import CancelledError
from contextlib import closing

import anyio
import pytest

from aura_contracts.errors import EngineClosed, InvalidInput, LogDamaged, StoreReadOnly, StoreUnavailable
from aura_contracts.events import Event
from aura_contracts.task import TaskCreated
from aura_engine import store_turn
from aura_engine.facade import core as module
from aura_engine.notification import notifier
from aura_engine.runtime import board_cards
from conditions import until

pytestmark = pytest.mark.anyio


def takes_nothing():
    """A callback by mistake."""


async def waits(record):
    """A callback that cannot be called in a thread."""


class Foreign(Event, frozen=True, kw_only=True):
    """An event that AURA never records: a subscription would wait for it forever."""

    topic = "foreign.happened"


@pytest.mark.parametrize("event_type", ["task.created", int, Event, None, TaskCreated.__mro__, Foreign])
async def test_what_is_no_event_is_refused(opened, event_type):
    async with opened() as engine:
        with pytest.raises(InvalidInput) as refused:
            engine.on(event_type, print)
        assert refused.value.field == "event_type"
        assert (await engine.tasks.create("It goes on")).title == "It goes on"


@pytest.mark.parametrize("callback", [None, 5, takes_nothing, functools.partial(waits, None)])
async def test_what_cannot_be_called_with_a_record_is_refused(opened, callback):
    async with opened() as engine:
        with pytest.raises(InvalidInput) as refused:
            engine.on(TaskCreated, callback)
        assert refused.value.field == "callback"


async def test_an_asynchronous_callback_is_refused_in_a_thread(opened):
    async with opened() as engine:
        with pytest.raises(InvalidInput, match="asynchronous"):
            engine.on(TaskCreated, waits, in_thread=True)


@pytest.mark.parametrize("name", ["", " ", 5, b"mail", "\ud800", "a\0b", "a\nb", "x" * 201])
async def test_a_name_that_cannot_be_kept_is_refused(opened, name):
    async with opened() as engine:
        with pytest.raises(InvalidInput) as refused:
            engine.on(TaskCreated, print, name=name)
        assert refused.value.field == "name"
        await engine.tasks.create("It goes on")


@pytest.mark.parametrize("name", [notifier.CURSOR, board_cards.CURSOR, "aura:later"])
async def test_the_name_of_a_reader_of_aura_is_refused(opened, name):
    """The two would move the same cursor, and each miss what the other has read."""
    async with opened() as engine:
        with pytest.raises(InvalidInput, match="those of AURA's own readers") as refused:
            engine.on(TaskCreated, print, name=name)
        assert refused.value.field == "name"
        assert refused.value.remedy == f"begin it otherwise: {name.replace(':', '-')!r}"
        engine.on(TaskCreated, print, name=name.removeprefix("aura:"))


async def test_a_durable_subscription_is_refused_where_nothing_can_be_saved(opened):
    async with opened() as engine:
        await engine.tasks.create("First")
    async with opened(read_only=True) as reader:
        with pytest.raises(StoreReadOnly):
            reader.on(TaskCreated, print, name="mail")
        heard = []
        reader.on(TaskCreated, heard.append)
        async with opened() as writer:
            await until(lambda: _heard_after(writer, heard))


async def _heard_after(engine, heard):
    await engine.tasks.create("Another")
    return heard


async def test_an_error_of_the_log_ends_its_subscription_only(opened, tmp_path):
    """The folder of the locks cannot be written."""
    heard = []
    async with opened() as engine:
        (tmp_path / "aura.db.locks").write_text("in the way")
        broken = engine.on(TaskCreated, print, name="mail")
        sound = engine.on(TaskCreated, heard.append)
        with pytest.raises(StoreReadOnly):
            await broken.wait()
        with pytest.raises(StoreReadOnly):
            await broken.wait()
        assert isinstance(broken.failure, StoreReadOnly)
        await engine.tasks.create("Heard")
        await until(lambda: heard)
        sound.cancel()
        await sound.wait()
        broken.cancel()


async def test_a_damaged_event_ends_the_subscriptions_that_reach_it_in_every_engine(opened, tmp_path):
    async with opened() as one, opened() as other:
        durable = [(one, "one"), (other, "other")]
        for engine, name in durable:
            subscription = engine.on(TaskCreated, print, name=name)
            await engine.events.head()
            await until(lambda name=name: _is_kept(one, name))
            subscription.cancel()
            await subscription.wait()
        await one.tasks.create("Damaged")
        position = await one.events.head()
        with closing(sqlite3.connect(tmp_path / "aura.db")) as database, database:
            database.execute("UPDATE stored_events SET state = x'00' WHERE rowid = ?", (position,))
        heard = []
        for engine, name in durable:
            with pytest.raises(LogDamaged) as raised:
                await engine.on(TaskCreated, print, name=name).wait()
            assert raised.value.position == position
            engine.on(TaskCreated, heard.append)
            await engine.tasks.create("Sound")
        await until(lambda: len(heard) == 3)


async def test_an_outage_ends_no_subscription_that_waits_for_its_name(opened, monkeypatch):
    monkeypatch.setattr(store_turn, "LOCK_CHECK", 0.01)
    heard = []
    async with opened() as engine:
        locks, tries = type(engine._core.locks), []
        acquire = locks.acquire

        async def away(self, key):
            if key == "subscription:mail" and len(tries) < 3:
                tries.append(key)
                raise StoreUnavailable(store="s", reason="the server restarts", waited=1.0, attempts=3)
            return await acquire(self, key)

        monkeypatch.setattr(locks, "acquire", away)
        engine.on(TaskCreated, heard.append, name="mail")
        await engine.tasks.create("Hear")
        await until(lambda: heard)
        assert len(tries) == 3


async def test_a_name_is_forgotten_with_its_subscription(opened):
    async with opened() as engine:
        subscription = engine.on(TaskCreated, print, name="mail")
        await until(lambda: "subscription:mail" in engine._core._turns)
        subscription.cancel()
        await subscription.wait()
        del subscription
        gc.collect()
        assert "subscription:mail" not in engine._core._turns


async def _is_kept(engine, name):
    return await engine._core.log.load_cursor(name) is not None


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_stray_cancellation_is_a_failure_of_the_callback(opened, in_thread):
    def stray(record):
        raise CancelledError

    async with opened() as engine:
        subscription = engine.on(TaskCreated, stray, in_thread=in_thread)
        await engine.tasks.create("Hear")
        await until(lambda: subscription.failure)
        assert isinstance(subscription.failure, RuntimeError)
        await engine.tasks.create("It goes on")


# --- Cancelling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_thread", [False, True])
async def test_cancelled_by_its_callback_an_event_is_delivered_once(opened, in_thread):
    heard = []

    def once(record):
        heard.append(record.event.spec.title)
        subscription.cancel()

    async with opened() as engine:
        for title in ("one", "two"):
            subscription = engine.on(TaskCreated, once, name="once", in_thread=in_thread)
            await engine.tasks.create(title)
            await subscription.wait()
    assert heard == ["one", "two"]


async def test_an_asynchronous_callback_that_cancels_runs_to_its_end(opened):
    heard = []

    async def once(record):
        subscription.cancel()
        await anyio.lowlevel.checkpoint()
        heard.append(record.event.spec.title)

    async with opened() as engine:
        for title in ("one", "two"):
            subscription = engine.on(TaskCreated, once, name="once")
            await engine.tasks.create(title)
            await subscription.wait()
    assert heard == ["one", "two"]


@pytest.mark.parametrize("name", [None, "mail"])
async def test_any_thread_can_cancel(opened, name):
    heard = []
    async with opened() as engine:
        subscription = engine.on(TaskCreated, heard.append, name=name)
        await anyio.to_thread.run_sync(subscription.cancel)
        await subscription.wait()
        await engine.tasks.create("Not heard")
    thread = threading.Thread(target=subscription.cancel)  # later, it is harmless
    thread.start()
    thread.join()
    assert heard == []


async def test_cancelling_ends_the_pause_after_a_failure(opened):
    def fail(record):
        raise ZeroDivisionError

    async with opened() as engine:
        subscription = engine.on(TaskCreated, fail, name="mail")
        await engine.tasks.create("Hear")
        await until(lambda: subscription.failure)
        subscription.cancel()
        await subscription.wait()


# --- Closing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_thread", [False, True])
async def test_closing_waits_for_a_callback_that_may_still_use_the_engine(opened, in_thread):
    heard, begun, closing = [], threading.Event(), threading.Event()

    async def use(record):
        begun.set()
        await until(closing.is_set)
        heard.append((await engine.tasks.get(record.stream_id)).title)

    def block(record):
        begun.set()
        closing.wait(60)
        heard.append(record.event.spec.title)

    async with opened() as engine:
        subscription = engine.on(TaskCreated, block if in_thread else use, name="mail", in_thread=in_thread)
        await engine.tasks.create("one")
        await until(begun.is_set)
        closing.set()
    await subscription.wait()
    async with opened() as engine:
        subscription = engine.on(TaskCreated, lambda record: heard.append(record.event.spec.title), name="mail")
        await engine.tasks.create("two")
        await until(lambda: len(heard) == 2)
    assert heard == ["one", "two"]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_closing_does_not_wait_forever(opened, in_thread, monkeypatch):
    monkeypatch.setattr(module, "CLOSING_PATIENCE", 0.05)
    begun, freed = threading.Event(), threading.Event()

    async def sleep(record):
        begun.set()
        await anyio.sleep_forever()

    def block(record):
        begun.set()
        freed.wait(60)

    heard = []
    async with opened() as engine:
        engine.on(TaskCreated, block if in_thread else sleep, name="mail", in_thread=in_thread)
        await engine.tasks.create("one")
        await until(begun.is_set)
    freed.set()
    await until(lambda: "aura-callback" not in [thread.name for thread in threading.enumerate()])
    async with opened() as engine:
        engine.on(TaskCreated, heard.append, name="mail")
        await until(lambda: heard)  # it is delivered again
        assert heard[0].event.spec.title == "one"


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
async def test_what_ends_a_program_closes_the_engine(opened, error, in_thread):
    def leave(record):
        raise error

    with pytest.raises(type(error)) as raised:
        async with opened() as engine:
            engine.on(TaskCreated, leave, in_thread=in_thread)
            await engine.tasks.create("Leave")
            await anyio.sleep_forever()
    assert raised.value is error
    with pytest.raises(EngineClosed):
        await engine.tasks.list()


async def test_every_method_of_a_closed_engine_says_so(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Think")
        run = await engine.attach(task.id)
    calls = [
        engine.tasks.list,
        functools.partial(engine.tasks.create, "More"),
        functools.partial(engine.attach, task.id),
        engine.executors.list,
        engine.doctor.list,
        engine.events.head,
        engine.audit.verify,
        engine.store.check,
        run.task,
        run.result,
        run.idle,
        run.cancel,
        run.kill,
    ]
    for call in calls:
        with pytest.raises(EngineClosed):
            await call()
    for generator in (run.events(), run.questions(), engine.events.read(), engine.audit.export()):
        with pytest.raises(EngineClosed):
            await generator.__anext__()
    with pytest.raises(EngineClosed):
        engine.on(TaskCreated, print)


async def test_who_waits_while_the_engine_is_closed_is_told(opened):
    """The log closes under those that follow it."""
    told = []

    async def follow(engine):
        try:
            async for _ in engine.events.read(follow=True):
                begun.set()
        except EngineClosed:
            told.append(True)

    begun = anyio.Event()
    async with anyio.create_task_group() as group, opened() as engine:
        await engine.tasks.create("Begin")
        group.start_soon(follow, engine)
        await begun.wait()
    assert told == [True]
