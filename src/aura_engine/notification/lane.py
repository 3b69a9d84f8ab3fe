"""Lane: the messages of one channel to one person, one at a time."""

import logging
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

import anyio
import attrs
from msgspec.structs import replace

from aura_contracts.actors import ENGINE
from aura_contracts.aggregate import Command
from aura_contracts.errors import AuraError, DeliveryFailed, DeliveryRefused, RuleViolated, StoreError
from aura_contracts.notification import OutgoingMessage
from aura_contracts.outbox import (
    GiveUpNotification,
    Outbox,
    QueuedMessage,
    QueueNotification,
    RecordNotificationSent,
    outbox_id,
)
from aura_contracts.ports.notifications import NotificationChannel
from aura_engine.notification.answer_links import AnswerLinks
from aura_engine.notification.kinds import NoticeKind, Pace
from aura_engine.notification.notices import Notice
from aura_engine.notification.settings import ChannelSettings, PersonSettings, Route
from aura_engine.notification.waiting_notices import MINUTE, Meter, WaitingNotices
from aura_engine.store_turn import StoreTurn
from aura_engine.unit_of_work import CommandBus

_LOG = logging.getLogger(__name__)

STORE_PAUSE = 5.0
"""Seconds until what could not be recorded is recorded again."""


SKEW = timedelta(hours=1)
"""How far a clock may be behind the one by which something happened, before nothing follows from that time."""

ENDED_KEPT = 1000
"""Keys of messages that a lane remembers to have sent."""


@attrs.frozen
class DeliveryPatience:
    """How often, and for how long, a message is tried. In seconds."""

    first: float = 2.0
    """The first pause; each further one is twice as long."""
    most: float = 15 * 60.0
    give_up: float = 24 * 3600.0
    """The age at which a message becomes a dead letter."""
    try_for: float = 3600.0
    """How long it is tried before, whatever its age: while the machine slept, or no one served, nothing was tried."""

    def pause(self, failures: int, random: float) -> float:
        """Return the pause after so many failures, with jitter; `random` is from 0 to 1."""
        return min(self.first * 2.0 ** min(failures - 1, 30), self.most) * (0.5 + random / 2)

    def respected(self, retry_after: float | None) -> float:
        """Return the pause that the other side asks for, if a message may still be tried after it."""
        return min(retry_after or 0.0, self.give_up / 2)


@attrs.define(kw_only=True)
class OpenChannel:
    """A channel at work, shared by its lanes."""

    settings: ChannelSettings
    open: Callable[[], NotificationChannel]
    opened: NotificationChannel | None = None
    limiter: anyio.CapacityLimiter = attrs.field(factory=lambda: anyio.CapacityLimiter(4))
    """How many messages it sends at a time."""
    turn: anyio.Lock = attrs.field(factory=anyio.Lock)
    """Held while something is recorded in its outbox."""

    async def send(self, queued: QueuedMessage, address: str, links: str = "") -> None:
        """Send a message within the channel's time, beginning with its links. Raises `DeliveryFailed`."""
        message = replace(queued.message, address=address, text=f"{links}{queued.message.text}")
        async with self.limiter:
            try:
                with anyio.fail_after(self.settings.timeout):
                    if self.opened is None:
                        self.opened = await anyio.to_thread.run_sync(self.open)
                    await self.opened.send(message)
            except TimeoutError:
                reason = f"no answer within {self.settings.timeout:g} s"
                raise DeliveryFailed(channel=self.settings.name, reason=reason) from None
            except AuraError as error:
                if isinstance(error, DeliveryFailed):
                    raise
                raise DeliveryRefused(channel=self.settings.name, reason=str(error)) from error
            except Exception as error:  # a channel of someone else may raise anything; the others continue
                _LOG.exception("channel %s", self.settings.name)
                reason = f"the channel itself failed: {type(error).__name__}"
                raise DeliveryFailed(channel=self.settings.name, reason=reason) from error


@attrs.frozen
class _Making:
    """A command to queue a message, whose outcome is not known."""

    first_position: int
    """The position of the first event that the message tells."""
    positions: dict[str, int]
    """By kind, up to where it tells all."""
    command: QueueNotification


@attrs.define(kw_only=True)
class DeliveryLane:
    """A channel and a person."""

    bus: CommandBus
    channel: OpenChannel
    person: PersonSettings
    route: Route
    patience: DeliveryPatience
    random: Callable[[], float]
    links: AnswerLinks | None = None
    """None: no one said where the pages of links are."""
    positions: dict[str, int] = attrs.field(factory=dict)
    """By kind, up to where messages were made; also of those that had another pace then."""
    pending: deque[QueuedMessage] = attrs.field(factory=deque)
    tallies: dict[Pace, WaitingNotices] = attrs.field(
        factory=lambda: {pace: WaitingNotices() for pace in Pace if pace is not Pace.OFF}
    )
    woken: anyio.Event = attrs.field(factory=anyio.Event)
    _meter: Meter = attrs.field(
        default=attrs.Factory(lambda self: Meter(self.channel.settings.per_minute), takes_self=True)
    )
    _failures: int = 0
    """In a row."""
    _attempts: int = 0
    """Of the message that is first."""
    _tried_since: float | None = None
    """When this program first tried it, by the clock that no one sets."""
    _taken: str | None = None
    """The key of the message that the channel took, which is yet to be recorded."""
    superseded: bool = False
    """Whether another program made messages of this lane meanwhile: it does nothing more until it is restored."""
    _making: "_Making | None" = None
    """The message that is being queued. Until the store has said what became of it, it is asked the same again."""
    _ended: deque[str] = attrs.field(factory=lambda: deque(maxlen=ENDED_KEPT))
    """The keys of messages that were sent: a state read before that has them still."""
    _not_before: float = 0.0
    """By the clock that no one sets."""

    @property
    def first_position(self) -> int | None:
        """The position of the first event that no recorded message has yet; None: nothing is waiting."""
        found = [tally.first_position for tally in self.tallies.values() if tally.first_position is not None]
        if self._making is not None:
            found.append(self._making.first_position)
        return min(found, default=None)

    def restore(self, outbox: Outbox | None) -> None:
        """Take over what was recorded, by whichever program. The rest must be read again."""
        name = self.person.name
        lanes, pending = ({}, ()) if outbox is None else (outbox.lanes, outbox.pending)
        self.positions = {kind: lanes.get(f"{name}/{kind}", 0) for kind in NoticeKind}
        self.pending = deque(one for one in pending if one.message.recipient == name)
        self.tallies = {pace: WaitingNotices() for pace in self.tallies}
        self._making, self._attempts, self._tried_since, self.superseded = None, 0, None, False

    def retry(self, queued: QueuedMessage) -> None:
        """Send a dead letter again, now, unless that was done or is about to be."""
        keys = [one.message.key for one in self.pending]
        if queued.message.recipient == self.person.name and queued.message.key not in (*keys, *self._ended):
            self.pending.append(queued)
            self._not_before, self._failures = 0.0, 0
            self.woken.set()

    def add(self, notice: Notice) -> bool:
        """Add what the person must be notified of; return whether they are, by this channel."""
        if self.route.kinds is not None and notice.kind not in self.route.kinds:
            return False
        pace = self.person.pace(notice.kind)
        if pace is Pace.OFF or notice.position <= self.positions.get(notice.kind, 0):
            return False
        self.tallies[pace].add(notice)
        self.woken.set()
        return True

    async def step(self, turn: StoreTurn | None = None) -> float | None:
        """Do the next thing. Return the seconds until there may be more to do; None: until something happens.

        `turn` is the one that lasts in which it happens; None: it is brief, and tries each message once.
        """
        if self.superseded:
            return None
        pause = self._not_before - anyio.current_time()
        if pause > 0:
            return pause
        try:
            if self.pending:
                return await self._send(self.pending[0], turn)
            if self._making is not None:
                return await self._queue(self._making)
            return await self._make(self.bus.clock())
        except StoreError as error:
            _LOG.warning("channel %s: not recorded: %s", self.channel.settings.name, error)
            return self._pause(STORE_PAUSE)

    # --- Making -------------------------------------------------------------------------------------------------------

    async def _make(self, now: datetime) -> float | None:
        """Queue the next message, if one is due."""
        waits: list[float] = []
        for pace, tally in self.tallies.items():
            if not len(tally):
                continue
            due = self._due(pace, tally, now)
            if due is not None:
                waits.append((due - now).total_seconds())
                continue
            room = self._meter.room(anyio.current_time())
            if not room:
                waits.append(MINUTE / self.channel.settings.per_minute)
                continue
            together = pace is Pace.DIGEST or self._was_held(pace, tally) or len(tally) > room
            self._making = self._make_message(tally, together=together)
            return await self._queue(self._making)
        return min(waits, default=None)

    def _due(self, pace: Pace, tally: WaitingNotices, now: datetime) -> datetime | None:
        """Return when a tally is due, None if it is."""
        if pace is Pace.DIGEST and tally.first_time is not None:
            if tally.first_time - now > SKEW:
                return None  # by another clock, or before this one was set back: its day is not known
            due = self.person.digest_after(tally.first_time)
            return due if due > now else None
        return self.person.held_until(pace, now)

    def _was_held(self, pace: Pace, tally: WaitingNotices) -> bool:
        """Whether the beginning of a tally came in quiet hours."""
        return tally.first_time is not None and self.person.held_until(pace, tally.first_time) is not None

    def _make_message(self, tally: WaitingNotices, *, together: bool) -> _Making:
        first = tally.first_position
        assert first is not None, "there is something to tell"
        name = self.channel.settings.name
        message, positions = tally.take(name, self.person.name, together=together)
        command = QueueNotification(
            channel=name,
            after={self._lane(kind): self.positions.get(kind, 0) for kind in positions},
            positions={self._lane(kind): position for kind, position in positions.items()},
            message=message,
        )
        return _Making(first, positions, command)

    def _lane(self, kind: str) -> str:
        return f"{self.person.name}/{kind}"

    async def _queue(self, making: _Making) -> float | None:
        command = making.command
        try:
            outbox = await self._record(command)
        except RuleViolated as error:
            self._supersede(str(error))
            return None
        if past := [lane for lane, position in command.positions.items() if outbox.lanes[lane] > position]:
            self._supersede(f"the lane {past[0]} is at {outbox.lanes[past[0]]} already")
            return None
        self._making = None
        self.positions |= making.positions
        found = outbox.pending_of(command.message.key)
        if found is not None:
            self.pending.append(found)
        return 0.0

    def _supersede(self, reason: str) -> None:
        _LOG.warning("channel %s: another program notifies, too: %s", self.channel.settings.name, reason)
        self.superseded = True

    async def _record(self, command: Command[Outbox]) -> Outbox:
        async with self.channel.turn:
            return await self.bus.handle(ENGINE, outbox_id(self.channel.settings.name), command)

    # --- Sending ------------------------------------------------------------------------------------------------------

    async def _send(self, queued: QueuedMessage, turn: StoreTurn | None) -> float:
        key = queued.message.key
        if self._taken != key:
            if turn is not None and not await turn.confirm():  # another program sends it, or soon will
                return self._pause(STORE_PAUSE)
            links = await self._links(queued.message)
            self._attempts += 1
            if self._tried_since is None:
                self._tried_since = anyio.current_time()
            try:
                await self.channel.send(queued, self.route.address, links)
            except DeliveryFailed as error:
                return await self._failed(queued, error, lasts=turn is not None)
            self._taken, self._failures = key, 0
            self._meter.note(anyio.current_time())
        await self._record_sent(key)
        return 0.0

    async def _links(self, message: OutgoingMessage) -> str:
        settings = self.channel.settings
        if self.links is None or not settings.links:
            return ""
        return await self.links.text_for(message, settings.name)

    async def part(self) -> None:
        """Record what was sent and is yet to be recorded: a program that is closed properly sends nothing twice."""
        if self._taken is not None:
            await self._record_sent(self._taken)

    async def _record_sent(self, key: str) -> None:
        await self._record(RecordNotificationSent(key=key, attempts=self._attempts))
        self._ended.append(key)
        self._next()

    async def _failed(self, queued: QueuedMessage, error: DeliveryFailed, *, lasts: bool) -> float:
        self._failures += 1
        pause = max(self.patience.pause(self._failures, self.random()), self.patience.respected(error.retry_after))
        old = (self.bus.clock() - queued.queued_at).total_seconds() > self.patience.give_up
        if isinstance(error, DeliveryRefused) or (old and (self._was_tried() or not lasts)):
            command = GiveUpNotification(key=queued.message.key, reason=error.reason, attempts=self._attempts)
            await self._record(command)
            self._next()
        return self._pause(pause)

    def _was_tried(self) -> bool:
        """Whether this program has tried the first message for long enough, and more than once."""
        since = self._tried_since
        return since is not None and self._attempts > 1 and anyio.current_time() - since >= self.patience.try_for

    def _next(self) -> None:
        self.pending.popleft()
        self._attempts, self._tried_since, self._taken = 0, None, None

    def _pause(self, seconds: float) -> float:
        self._not_before = anyio.current_time() + seconds
        return seconds
