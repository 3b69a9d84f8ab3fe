"""Notifier: reads the log for what notifies, and serves the lanes. One per store at a time.

It never holds up the engine: it reads pages of a bounded size, and while the log grows faster than that, it pauses for
several times as long as the last page took. What a page tells is handed out together, so a storm becomes few messages.
People are notified a little later, then.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio
import attrs

from aura_contracts.errors import AuraError, LogDamaged, StoreError
from aura_contracts.events import EventRecord
from aura_contracts.outbox import OUTBOX, NotificationRetried, outbox_id
from aura_contracts.ports.notifications import NotificationChannel
from aura_contracts.ports.read_models import ReadModels
from aura_engine.notification.alert_search import LOOK_EVERY, AlertSearch
from aura_engine.notification.answer_links import AnswerLinks
from aura_engine.notification.kinds import TOPICS
from aura_engine.notification.lane import DeliveryLane, DeliveryPatience, OpenChannel
from aura_engine.notification.notices import Notice, notice_of
from aura_engine.notification.outage_watch import OutageWatch
from aura_engine.notification.settings import ChannelSettings, NotificationSettings
from aura_engine.store_turn import StoreTurn
from aura_engine.unit_of_work import CommandBus

_LOG = logging.getLogger(__name__)

CURSOR = "aura:notifications"
"""The name under which the log remembers how far it was read; no subscription can have it."""

LOCK = "notifier"
"""The key of the lock of the engine that serves notifications."""

PAGE = 200
"""Events read at a time."""

SHARE = 20
"""In a storm, the pause before a page is so many times as long as the last one took to read."""

STORM_PAUSE = 2.0
"""Seconds that such a pause takes at least: most storms are over then, and were not disturbed."""

LONGEST_PAUSE = 30.0
"""Seconds that such a pause takes at most."""

STORM = 20
"""Events at least by which a log grows in a storm between two looks at it."""

PARTING = 1.0
"""Seconds at most that a notifier that ends tries to record what it has done."""

LOOK_PAUSE = 0.2
"""Seconds between two looks at a log that grows, whether it is in a storm."""

RETRY_PAUSE = 1.0
"""Seconds until the store is asked again."""

SAVE_EVERY = 5.0
"""Seconds between two savings of the cursor."""

WAKE_EVERY = 30.0
"""Seconds after which a lane looks at the clock again, which may have been set meanwhile."""

_READ = (*TOPICS, NotificationRetried.topic)


@attrs.define(kw_only=True)
class Notifier:
    """Serves the notifications of a store: `run` for good, which is `serve` and `watch`; `deliver` once."""

    bus: CommandBus
    reads: ReadModels
    turn: StoreTurn
    """Shared by the notifiers of an engine."""
    settings: NotificationSettings
    open_channel: Callable[[ChannelSettings], NotificationChannel]
    random: Callable[[], float]
    links: AnswerLinks | None = None
    """None: no one said where the pages of links are."""
    patience: DeliveryPatience = attrs.field(factory=DeliveryPatience)
    lanes: dict[tuple[str, str], DeliveryLane] = attrs.field(factory=dict, init=False)
    """By channel and person."""
    _took: float = attrs.field(default=0.0, init=False)
    """Seconds that it last read."""
    _head: int = attrs.field(default=0, init=False)
    """The head of the log when it last read."""
    _page: int = attrs.field(default=PAGE, init=False)
    """Events read at a time: one, before one that is damaged."""
    _position: int = attrs.field(default=0, init=False)
    _saved: int | None = attrs.field(default=None, init=False)
    """The cursor as the log has it; None: that is not known, and nothing was read."""

    def __attrs_post_init__(self) -> None:
        channels = {
            name: OpenChannel(settings=channel, open=partial(self.open_channel, channel))
            for name, channel in self.settings.channels.items()
        }
        for person in self.settings.people.values():
            for route in person.routes:
                self.lanes[route.channel, person.name] = DeliveryLane(
                    bus=self.bus,
                    channel=channels[route.channel],
                    person=person,
                    route=route,
                    patience=self.patience,
                    random=self.random,
                    links=self.links,
                )

    async def begin(self) -> int:
        """Return the position up to which people were notified; the first time, have that begin here.

        Raises `StoreError`.
        """
        cursor = await self.bus.log.load_cursor(CURSOR)
        if cursor is None:
            cursor = await self.bus.log.head()
            await self.bus.log.save_cursor(CURSOR, cursor)
        return cursor

    async def run(self) -> None:
        """Serve until cancelled, and tell operators of outages, also while another program serves this store."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.watch)
            await self.serve()

    async def watch(self) -> None:
        """Tell operators of outages until cancelled, in a turn or not: then no program may be left that has it."""
        await OutageWatch(bus=self.bus, settings=self.settings, lanes=self.lanes).run()

    async def serve(self) -> None:
        """Send what is due until cancelled; while another program serves this store, wait until it has ended."""
        while True:
            async with self.turn.lasting():
                await self._turn()

    async def _turn(self) -> None:
        """Serve until the turn is lost, or another program turns out to have made messages meanwhile."""
        try:
            async with anyio.create_task_group() as group:
                await self._when_back(self._restore)
                for lane in self.lanes.values():
                    group.start_soon(self._serve, lane, group.cancel_scope)
                group.start_soon(self._keep_looking)
                await self._follow()
        finally:
            await self._part()

    async def deliver(self) -> bool:
        """Send all that is due, each message once; return False if another notifier serves this store, which does it.

        The first call for a store begins there: people are notified what happens from then on. Raises `StoreError`.
        """
        async with self.turn.brief(wait=False) as taken:
            return taken and await self._deliver()

    async def _deliver(self) -> bool:
        try:
            await self._restore()
            while await self._read():
                pass
            async with anyio.create_task_group() as group:
                for lane in self.lanes.values():
                    group.start_soon(_finish, lane)
        finally:
            await self._part()
        return not any(lane.superseded for lane in self.lanes.values())

    # --- Beginning and end --------------------------------------------------------------------------------------------

    async def _part(self) -> None:
        with anyio.move_on_after(PARTING, shield=True) as limit:
            try:
                for lane in self.lanes.values():
                    await lane.part()
                if self._saved is not None:
                    await self._save()
            except AuraError as error:
                _LOG.warning("what was sent last, and how far notifications were read, is not recorded: %s", error)
        if limit.cancelled_caught:
            _LOG.warning(
                "what was sent last, and how far notifications were read, is not recorded within %s s", PARTING
            )

    async def _restore(self) -> None:
        self._position = self._saved = await self.begin()
        for channel in self.settings.channels:
            await self._restore_lanes(channel)

    async def _restore_lanes(self, channel: str) -> None:
        lanes = [lane for (name, _), lane in self.lanes.items() if name == channel]
        try:
            outbox = await self.bus.fetch(OUTBOX, outbox_id(channel)) if lanes else None
        except LogDamaged as error:  # nothing can be queued in it either: people are notified once it is restored
            _LOG.error("channel %s: %s", channel, error)
            outbox = None
        for lane in lanes:
            lane.restore(outbox)
            lane.woken.set()

    async def _retry(self, stream_id: str, key: str) -> None:
        outbox = await self.bus.fetch(OUTBOX, stream_id)
        queued = None if outbox is None else outbox.pending_of(key)
        for (name, _), lane in self.lanes.items():
            if queued is not None and outbox is not None and name == outbox.channel:
                lane.retry(queued)

    async def _save(self) -> None:
        """Remember the position before the first event that must still be notified of."""
        firsts = [lane.first_position for lane in self.lanes.values()]
        position = min((one - 1 for one in firsts if one is not None), default=self._position)
        if position != self._saved:
            await self.bus.log.save_cursor(CURSOR, position)
            self._saved = position

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Read the log to its end, then all that is appended, forever."""
        saved = time.monotonic()
        while True:
            more = await self._when_back(self._read)
            if time.monotonic() - saved > SAVE_EVERY:
                await self._when_back(self._save)
                saved = time.monotonic()
            if not more:
                await self._when_back(self._wait)
            await self._when_back(self._pause)

    async def _pause(self) -> None:
        """Let events gather for a moment. In a storm, leave the store to others for much longer than reading took."""
        head = self._head
        end = anyio.current_time() + min(max(self._took * SHARE, STORM_PAUSE), LONGEST_PAUSE)
        while (left := end - anyio.current_time()) > 0:
            await anyio.sleep(min(left, LOOK_PAUSE))
            before, head = head, await self.bus.log.head()
            if head - before < STORM:
                return

    async def _wait(self) -> None:
        await self.bus.log.wait(self._position)

    async def _read(self) -> bool:
        """Read a page; return whether there may be more."""
        began = anyio.current_time()
        try:
            return await self._read_page()
        finally:
            self._took = anyio.current_time() - began

    async def _read_page(self) -> bool:
        head, limit = await self.bus.log.head(), self._page
        self._head = head
        try:
            records = await self.bus.log.page(self._position, limit=limit, topics=_READ)
        except LogDamaged as damage:
            return self._skip(damage)
        notices: list[Notice] = []
        try:
            for record in records:
                notices += await self._notices(record)
                self._position = record.position
        finally:  # what was read is not read again
            for notice in notices:
                self._hand_out(notice)
        if len(records) < limit:
            self._position = max(self._position, head)
        return len(records) == limit

    def _skip(self, damage: LogDamaged) -> bool:
        """Skip an event that cannot be read, once all before it were. Raises the damage if it is not of one event."""
        if damage.position <= self._position:
            raise damage
        if self._page > 1:
            self._page = 1
            return True
        _LOG.warning("no one is notified of a damaged event: %s", damage)
        self._position, self._page = damage.position, PAGE
        return True

    async def _notices(self, record: EventRecord) -> Sequence[Notice]:
        """Return what people are notified about an event, if anything."""
        try:
            if isinstance(record.event, NotificationRetried):
                await self._retry(record.stream_id, record.event.key)
                return []
            notice = await notice_of(record, self.bus.fetch)
        except AuraError as error:  # a damaged aggregate must not keep people from being notified of others
            if isinstance(error, StoreError) and not isinstance(error, LogDamaged):
                raise  # time helps
            _LOG.warning("no one is notified of the event at %s: %s", record.position, error)
            return []
        return [] if notice is None else [notice]

    def _hand_out(self, notice: Notice) -> None:
        for person in self.settings.audience(
            notice.to, notice.kind, operators=notice.operators, reminded=notice.reminded
        ):
            for route in person.routes:
                self.lanes[route.channel, person.name].add(notice)

    # --- While the store is away --------------------------------------------------------------------------------------

    async def _when_back(self, do: Callable[[], Awaitable[object]]) -> bool:
        """Do something with the store; while that fails, try again."""
        while True:
            try:
                result = await do()
            except StoreError as error:
                _LOG.warning("notifications wait: %s", error)
            else:
                return bool(result)
            await anyio.sleep(RETRY_PAUSE)

    # --- Serving ------------------------------------------------------------------------------------------------------

    async def _serve(self, lane: DeliveryLane, turn: anyio.CancelScope) -> None:
        while True:
            lane.woken = anyio.Event()
            wait = await lane.step(self.turn)
            if lane.superseded:
                turn.cancel()
            with anyio.move_on_after(WAKE_EVERY if wait is None else min(wait, WAKE_EVERY)):
                await lane.woken.wait()

    async def _keep_looking(self) -> None:
        search = AlertSearch(self.bus, self.reads)
        while True:
            await anyio.sleep(LOOK_EVERY)
            try:
                await search.look()
            except AuraError as error:
                _LOG.warning("alerts were not looked for: %s", error)


async def _finish(lane: DeliveryLane) -> None:
    """Do what a lane can do now."""
    while await lane.step() == 0.0:
        pass
