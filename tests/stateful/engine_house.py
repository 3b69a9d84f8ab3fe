"""Engines in a paper world, opened, killed and judged: what `engine_machine` plays with."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from datetime import timedelta
from functools import partial
from inspect import isawaitable
from pathlib import Path
from unittest.mock import patch

import anyio
import attrs
import msgspec
from anyio.from_thread import start_blocking_portal
from duties import duties_of
from judge import POLICY_TEXT, Judge
from paper_post import settings_text
from paper_world import FAULTS, PaperExecutor, PaperWorld, open_mortal_log
from post import note_letters

from aura_contracts.agent import AGENT
from aura_contracts.approval import APPROVAL
from aura_contracts.errors import AuraError, CommandRefused, EngineClosed, InvalidInput
from aura_contracts.execution import EXECUTION
from aura_contracts.file_locks import try_lock
from aura_contracts.task import TASK
from aura_contracts.workspace import WORKSPACE
from aura_engine import open_engine
from aura_engine.bootstrap.channels import ChannelOpener
from aura_engine.host import Host, now
from aura_engine.notification.lane import DeliveryPatience
from aura_engine.notification.notifier import Notifier
from aura_store import locks_for
from aura_store.testing.faults import Faults, HandleKilled

PATIENCE = 300
"""Looks, a twentieth of a second apart, after which engines that have something to do are taken to have forgotten it.

Not seconds: on a busy machine engines are slow, and so is who looks.
"""

HANGS = 120.0
"""Seconds after which a call is taken to hang."""

RECORDER = 2
"""The number of the engine that only records; the others, 0 and 1, drive everything."""

HASTE = {
    "aura_engine.clockwork.wall_clock.CLOCK_CHECK": 0.05,
    "aura_engine.clockwork.wall_clock.HOLD": 0.05,
    "aura_engine.clockwork.timekeeper.CLOCK_CHECK": 0.05,
    "aura_engine.clockwork.timekeeper._RETRY_AFTER": 0.05,
    "aura_engine.permissions.delivery._RETRY_AFTER": 0.05,
    "aura_engine.runtime.locked_drivers.LOCK_CHECK": 0.02,
    "aura_engine.runtime.queue_locks.CHECK": 0.02,
    "aura_engine.runtime.courtesy.COURTESY": 0.02,
    "aura_engine.store_turn.LOCK_CHECK": 0.02,
    "aura_engine.notification.notifier.LOOK_PAUSE": 0.02,
    "aura_engine.notification.notifier.RETRY_PAUSE": 0.02,
    "aura_engine.notification.notifier.WAKE_EVERY": 0.05,
    "aura_engine.notification.notifier.LOOK_EVERY": 0.3,
    "aura_engine.notification.notifier.SAVE_EVERY": 0.05,
    "aura_engine.notification.lane.STORE_PAUSE": 0.02,
}
"""Pauses that are shorter here, in seconds."""

HASTY_NOTIFIER = partial(Notifier, patience=DeliveryPatience(first=0.01, most=0.05, try_for=0.05))

KEPT = (
    (TASK, "tasks"),
    (AGENT, "agents"),
    (APPROVAL, "approvals"),
    (EXECUTION, "executions"),
    (WORKSPACE, "workspaces"),
)


@attrs.define
class Running:
    """An engine that is open, and how it is ended."""

    engine: object
    faults: Faults
    scope: anyio.CancelScope
    serving: object = None
    """Its service."""
    stop: anyio.Event = attrs.field(factory=anyio.Event)
    ended: anyio.Event = attrs.field(factory=anyio.Event)


class House:
    """The engines, the world that they share, and the judge."""

    def __init__(self):
        super().__init__()
        self.cleanup = ExitStack()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.world, self.judge = PaperWorld(), Judge()
        self.running: dict[int, Running] = {}
        self.hours, self.latest, self.lines = 0.0, 0.0, 0
        """How far the clock is ahead, how far it was at most, and how often an agent has ended."""
        self.settled_shifts = 0

    def move_in(self):
        """Make the world, and open two engines in it: one that drives, and one that only records."""
        for name, seconds in HASTE.items():
            self.cleanup.enter_context(patch(name, seconds))
        self.cleanup.enter_context(patch("aura_store.open_log", open_mortal_log))
        self.cleanup.enter_context(patch("aura_engine.bootstrap.channels.Notifier", HASTY_NOTIFIER))
        self.cleanup.enter_context(patch.object(ChannelOpener, "_open", lambda _, given: self.world.post.open(given)))
        self.cleanup.enter_context(patch("aura_engine.bootstrap.services.local_worker", self.world.worker))
        self.portal = self.cleanup.enter_context(start_blocking_portal("asyncio"))
        (self.folder / "home").mkdir()
        (self.folder / "home" / "policies.yaml").write_text(POLICY_TEXT)
        (self.folder / "home" / "notifications.yaml").write_text(settings_text())
        self.bring_up(RECORDER)
        self.give(RECORDER, lambda engine: engine.notifications.deliver(), wait=False)  # begins here
        self.bring_up(0)

    def put_away(self):
        """End what is left of the engines, and remove their files."""
        try:
            for number in tuple(self.running):
                self.portal.call(self._crash, number)
        finally:
            self.portal.call(self.portal.stop, True)  # also an engine that took too long to open
            self.cleanup.close()

    # --- Engines ------------------------------------------------------------------------------------------------------

    def now(self):
        return now() + timedelta(hours=self.hours)

    def bring_up(self, number):
        """Open an engine, in a task of its own."""
        self.portal.start_task_soon(self._live, number)
        self.portal.call(until, lambda: number in self.running)

    async def _live(self, number):
        faults, ended = Faults(), anyio.Event()
        FAULTS.set(faults)
        options = {"record_only": True} if number == RECORDER else {"drive_all": True}
        host = Host(clock=self.now, environment={}, folder=self.folder)
        try:
            with anyio.CancelScope() as scope:
                async with open_engine(
                    f"sqlite:///{self.folder / 'aura.db'}",
                    user="alice",
                    home=self.folder / "home",
                    executors=[PaperExecutor()],
                    host=host,
                    **options,
                ) as engine:
                    one = self.running[number] = Running(engine, faults, scope, ended=ended)
                    await one.stop.wait()
        except (HandleKilled, BaseExceptionGroup):
            if not faults.killed:
                raise
        finally:
            ended.set()

    async def _crash(self, number):
        """End an engine as kill -9 does: its locks are gone, and nothing of it reaches the store any more."""
        one = self.running.pop(number)
        one.faults.killed = True
        await one.engine._core.locks.aclose()
        one.scope.cancel()
        with anyio.fail_after(HANGS):
            await one.ended.wait()

    async def _close(self, number):
        one = self.running.pop(number)
        one.stop.set()
        with anyio.fail_after(HANGS):
            await one.ended.wait()

    @property
    def drivers(self):
        return sorted(number for number in self.running if number != RECORDER)

    def give(self, number, command: Callable, *, wait=True):
        """Give a command to an engine; return what it returns, None for a refusal. Nothing else may be raised."""
        number = number if number in self.running else RECORDER

        async def do():
            try:
                with anyio.fail_after(HANGS):
                    return await command(self.running[number].engine)
            except (CommandRefused, InvalidInput):
                return None
            except (HandleKilled, EngineClosed, AuraError):
                if not self.running[number].faults.killed:
                    raise
                return None

        found = self.portal.call(do)
        if self.running[number].faults.killed:
            self.portal.call(self._crash, number)
        if wait:
            self.settle()
        return found

    # --- Judging ------------------------------------------------------------------------------------------------------

    async def _catch_up(self):
        log, letters = self.running[RECORDER].engine._core.log, [*self.world.post.letters]
        claimed = [*self.judge.post.claimed]
        async with aclosing(log.read(self.judge.position)) as records:
            async for record in records:
                self.judge.see(record)
        note_letters(self.judge, letters, claimed)

    async def _settled(self):
        duties = []

        async def is_done():
            await self._bury()
            await self._catch_up()
            if not self.drivers:
                return True
            duties[:] = [*duties_of(self.judge, self.world, self.now()), *self.due()]
            return not duties

        try:
            await until(is_done)
        except TimeoutError:
            raise AssertionError("nothing happens any more:\n" + "\n".join(duties)) from None

    def settle(self):
        """Wait until no engine has anything to do; without an engine that drives, only judge."""
        shifts = len(self.judge.shifts)
        self.portal.call(self._settled if self.drivers else self._catch_up)
        del self.judge.shifts[: self.settled_shifts]  # what was in hand when the clock was set is over
        self.settled_shifts = shifts - self.settled_shifts
        self.judge.compare(self.world)

    def pick(self, found, number):
        found = sorted(found)
        return found[number % len(found)] if found else None

    async def _bury(self):
        """Complete the death of engines that died at a commit of their own."""
        for number in self.drivers:
            if self.running[number].faults.killed:
                await self._crash(number)

    # --- What is left -------------------------------------------------------------------------------------------------

    async def _nothing_is_left(self):
        assert not self.judge.pending()
        assert not [agent for agent in self.judge.agents.values() if agent.holds]
        assert not self.judge.claims, "no lock outlives its task"
        assert not self.world.runner.processes, "every process is forgotten"
        finished = [text for text in self.judge.said if text]
        assert len(set(finished)) == len(finished), "what an agent says is recorded once"
        engine = self.running[self.drivers[0]].engine
        followers = [self.running[number].engine._core.follower for number in self.drivers]
        await self._soon(lambda: not any(one.drivers._drivers for one in followers), "a driver outlives its task")
        assert not await engine.tasks.locks()
        await self._replay_equals_what_is_kept(engine)
        await self._no_lock_is_left()

    async def _soon(self, condition, words):
        try:
            await until(condition)
        except TimeoutError:
            raise AssertionError(words) from None

    async def _replay_equals_what_is_kept(self, engine):
        """The log folded anew is what the engines, and their read side before and after it is rebuilt, say."""
        before = {}
        for aggregate, noun in KEPT:
            rows = await _rows(engine, noun)
            for key, row in rows.items():
                folded = aggregate.fold(await engine._core.log.facts(key))
                assert msgspec.structs.asdict(row) == msgspec.structs.asdict(folded), "the read side says otherwise"
                assert await engine._core.bus.get(aggregate, key) == folded, "the live state is another"
            before[noun] = rows
        assert set(before["tasks"]) == set(self.judge.tasks), "the read side has other tasks"
        assert set(before["executions"]) == set(self.judge.runs), "the read side has other runs"
        assert (await engine.store.check()).ok, "the read side differs from the log"
        assert (await engine.store.rebuild()).ok
        for noun, rows in before.items():
            assert await _rows(engine, noun) == rows, "the read side is another when it is built again"

    async def _no_lock_is_left(self):
        """No lock outlives its task, and none its engine."""
        locks = locks_for(f"sqlite:///{self.folder / 'aura.db'}")
        keys = [f"{kind}:{task}" for task in self.judge.tasks for kind in ("task", "queue")]

        async def none_is_held():
            return not [key for key in keys if await locks.held_elsewhere(key)]

        await self._soon(none_is_held, "a lock outlives its task")
        for number in tuple(self.drivers):
            await self._close(number)
        assert not await locks.held_elsewhere("queue")
        folder = self.folder / "aura.db.locks"
        held = [path for path in folder.iterdir() if not _is_free(path)] if folder.exists() else []
        await locks.aclose()
        assert not held, "no lock outlives the engines"


async def until(condition):
    """Return when `condition` holds. Raises `TimeoutError` after `PATIENCE` looks."""
    pause = 0.002
    for _ in range(PATIENCE):
        holds = condition()
        if await holds if isawaitable(holds) else holds:
            return
        await anyio.sleep(pause)
        pause = min(1.5 * pause, 0.05)
    raise TimeoutError


async def _rows(engine, noun):
    """Return all that there is of a noun, by id; deleted tasks are among them."""
    found = (await getattr(engine, noun).list(limit=1000)).rows
    more = (await engine.tasks.list(status="deleted", limit=1000)).rows if noun == "tasks" else ()
    return {row.id: row for row in (*found, *more)}


def _is_free(path):
    lock = try_lock(path)
    if lock is not None:
        lock.release()
    return lock is not None
