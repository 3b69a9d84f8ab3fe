"""Notifications: what waits to be sent to people, what could not be, and sending it again."""

from collections.abc import Container, Iterator, Sequence
from datetime import datetime
from typing import Literal

import anyio.to_thread
import attrs
import msgspec

from aura_contracts.actors import actor_name
from aura_contracts.errors import InvalidFile, InvalidInput
from aura_contracts.notification import OutgoingMessage
from aura_contracts.outbox import OUTBOX, NotificationQueued, Outbox, QueuedMessage, RetryNotification, outbox_id
from aura_contracts.plain_data import Plain
from aura_contracts.quoting import one_line
from aura_engine.facade.core import Core
from aura_engine.facade.findings import Finding
from aura_engine.facade.gate import gated
from aura_engine.notification.notifier import Notifier
from aura_engine.unit_of_work import not_found

NotificationStatus = Literal["pending", "dead", "orphaned"]


class Notification(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A message that waits to be sent, or could not be."""

    id: str
    """The key of the message, the same at every attempt."""
    status: NotificationStatus
    """``orphaned``: it waits for a channel or a person that the settings do not name any more."""
    channel: str
    recipient: str
    kind: str
    subject: str
    count: int
    """How many things it tells."""
    queued_at: datetime
    reason: str = ""
    """Why it could not be sent."""
    attempts: int = 0


@gated
@attrs.frozen
class Notifications:
    """The notifications that ``notifications.yaml`` in AURA's folder asks for.

    Opening an engine sends nothing: `serve` does, or `deliver`, once. Both raise `InvalidFile` for a file with faults.
    """

    _core: Core

    async def get(self, notification: str) -> Notification:
        """Return a message that waits to be sent, or could not be. Raises `AggregateNotFound`."""
        for one in await self.list():
            if one.id == notification:
                return one
        raise not_found("notification", notification)

    async def list(self, *, channel: str | None = None) -> Sequence[Notification]:
        """Return the messages that wait to be sent, and those that could not be, by channel and age.

        What was sent is in the log: events with the topic ``outbox.sent``.
        """
        notifier = await self._notifier()
        names = [*dict.fromkeys((*notifier.settings.channels, *await self._used()))] if channel is None else [channel]
        found = []
        for name in names:
            outbox = await self._core.bus.fetch(OUTBOX, outbox_id(name))
            found += [] if outbox is None else list(_rows(outbox, notifier.lanes))
        return found

    async def _used(self) -> Sequence[str]:
        """Return the channels that have ever had a message, also those that the settings do not name any more."""
        queued = self._core.log.read(topics=(NotificationQueued.topic,))
        return sorted({one.event.channel async for one in queued if isinstance(one.event, NotificationQueued)})

    async def test(self, channel: str, *, person: str | None = None) -> OutgoingMessage:
        """Send a message to a person, by default the user, by one channel, at once; return it. Nothing is recorded.

        Raises `DeliveryFailed` and `DeliveryRefused`, and `InvalidInput` for a channel that does not lead to them.
        """
        actor = await self._core.require_member("outbox", channel, "test")
        notifier = await self._notifier()
        name = person or actor_name(actor)
        lane = notifier.lanes.get((channel, name))
        if lane is None:
            field = "channel" if channel not in notifier.settings.channels else "person"
            reason = f"{name} is not notified by a channel {channel!r}"
            raise InvalidInput(field=field, reason=reason, remedy="name both in notifications.yaml")
        now = self._core.bus.clock()
        message = OutgoingMessage(
            key=self._core.bus.new_id(),
            kind="test",
            recipient=name,
            subject="AURA can reach you here",
            text=f"This is a test of the channel {channel}.\n",
            time=now,
        )
        await lane.channel.send(QueuedMessage(message=message, queued_at=now), lane.route.address)
        return message

    async def retry(self, notification: str, *, by: str | None = None) -> Notification:
        """Have a dead letter sent again, under the same key; return it. `serve` or `deliver` sends it.

        Raises `AggregateNotFound`, and `CommandRefused` for an agent."""
        actor = await self._core.require_member("notification", notification, "retry", by)
        found = await self.get(notification)
        command = RetryNotification(key=found.id)
        outbox = await self._core.bus.handle(actor, outbox_id(found.channel), command)
        lanes = (await self._notifier()).lanes
        return next(row for row in _rows(outbox, lanes) if row.id == found.id)

    async def examine(self) -> Sequence[Finding]:
        """Return what is wrong: a settings file with faults, dead letters, whose fix is to retry them, and orphans."""
        try:
            rows = await self.list()
        except InvalidFile as error:
            text = f"no one is notified: {error.faults[0]}"
            return [Finding(id=error.field, kind="notification", status="wrong", text=text, remedy=error.remedy)]
        dead = [self._finding(row) for row in rows if row.status == "dead"]
        return dead + [_orphan(row) for row in rows if row.status == "orphaned"]

    def _finding(self, row: Notification) -> Finding:
        async def retry() -> str:
            await self.retry(row.id)
            return "it is sent again with the next delivery"

        text = f"{row.channel} did not take {one_line(row.subject)!r} for {row.recipient}: {row.reason}"
        remedy = f"correct the cause, then retry it: aura notify retry {row.id}"
        return Finding(id=row.id, kind="notification", status="wrong", text=text, remedy=remedy, fix=retry)

    async def deliver(self) -> bool:
        """Send all that is due, and return True; False if this engine or another serves the store, which sends it.

        The first call for a store begins there: people are notified of what happens from then on. A message that could
        not be sent stays pending.
        """
        await self._core.require_member("notifications", "due", "deliver")
        return await (await self._notifier()).deliver()

    async def serve(self) -> None:
        """Send what is due, when it is, until cancelled. While this engine or another does so already, wait."""
        await self._core.require_member("notifications", "due", "deliver")
        await (await self._notifier()).run()

    async def _notifier(self) -> Notifier:
        return await anyio.to_thread.run_sync(self._core.make_notifier)


def _orphan(row: Notification) -> Finding:
    text = f"{one_line(row.subject)!r} waits to be sent: {row.reason}"
    remedy = f"name {row.recipient} with the channel {row.channel} in notifications.yaml again, and it is sent"
    return Finding(id=row.id, kind="notification", status="wrong", text=text, remedy=remedy)


def _rows(outbox: Outbox, lanes: Container[tuple[str, str]]) -> Iterator[Notification]:
    """Yield what is in an outbox; `lanes` are the channels and people that the settings name."""
    for dead in outbox.dead:
        yield _row(outbox.channel, "dead", dead.message, dead.queued_at, dead.reason, dead.attempts)
    for queued in outbox.pending:
        message, name = queued.message, queued.message.recipient
        if (outbox.channel, name) in lanes:
            yield _row(outbox.channel, "pending", message, queued.queued_at)
        else:
            reason = f"the settings do not lead from the channel {outbox.channel} to {name} any more"
            yield _row(outbox.channel, "orphaned", message, queued.queued_at, reason)


def _row(
    channel: str,
    status: NotificationStatus,
    message: OutgoingMessage,
    queued_at: datetime,
    reason: str = "",
    attempts: int = 0,
) -> Notification:
    return Notification(
        id=message.key,
        status=status,
        channel=channel,
        recipient=message.recipient,
        kind=message.kind,
        subject=message.subject,
        count=message.count,
        queued_at=queued_at,
        reason=reason,
        attempts=attempts,
    )
