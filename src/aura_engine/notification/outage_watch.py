"""Outage watch: asks the store now and then whether it answers, and tells operators while it does not.

Nothing of that can be recorded, so a message has no outbox: it is tried again until a channel takes it or the store is
back. The end of an outage is an event, which the log appends once the store answers a call; the questions of the watch
are such calls, so an outage ends in the log although nothing else happens.
"""

import logging
from collections.abc import Iterator, Mapping
from uuid import NAMESPACE_URL, uuid5

import anyio
import attrs

from aura_contracts.errors import DeliveryFailed, DeliveryRefused, StoreError, StoreUnavailable
from aura_contracts.notification import OutgoingMessage
from aura_contracts.outbox import QueuedMessage
from aura_engine.notification.kinds import NoticeKind
from aura_engine.notification.lane import DeliveryLane
from aura_engine.notification.settings import NotificationSettings
from aura_engine.unit_of_work import CommandBus

_LOG = logging.getLogger(__name__)

ASK_EVERY = 10.0
"""Seconds between two questions to a store that answers."""

ASK_AGAIN = 1.0
"""Seconds until a store that is away is asked again."""


@attrs.define(kw_only=True)
class OutageWatch:
    """Watches a store on behalf of the operators whom the lanes lead to.

    Each engine that serves a store, or waits for its turn, has one: no one can tell them which of them is left. Their
    messages about one outage have one key, so that receivers who look at keys take them as one.
    """

    bus: CommandBus
    settings: NotificationSettings
    lanes: Mapping[tuple[str, str], DeliveryLane]
    _head: int | None = attrs.field(default=None, init=False)
    """Of the log, when it answered last: an outage ends with an event, so no other one begins there."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            away = await self._ask()
            if away is not None:
                await self._tell_until_back(away)
            await anyio.sleep(ASK_EVERY)

    async def _ask(self) -> StoreUnavailable | None:
        """Return why the store is away; None if it answers, or fails in a way that waiting does not change."""
        try:
            self._head = await self.bus.log.head()
        except StoreUnavailable as error:
            return error
        except StoreError as error:
            _LOG.warning("the store answers with an error: %s", error)
        return None

    async def _tell_until_back(self, away: StoreUnavailable) -> None:
        back = anyio.Event()
        async with anyio.create_task_group() as group:
            for lane, queued in self._messages(away):
                group.start_soon(_tell, lane, queued, back)
            while await self._ask() is not None:  # noqa: ASYNC110 - the store tells no one that it is back
                await anyio.sleep(ASK_AGAIN)
            back.set()

    def _messages(self, away: StoreUnavailable) -> Iterator[tuple[DeliveryLane, QueuedMessage]]:
        """Yield what to send, by all channels of each operator that take this kind."""
        now, kind = self.bus.clock(), NoticeKind.OUTAGE
        began = now.isoformat() if self._head is None else self._head
        key = str(uuid5(NAMESPACE_URL, f"urn:aura:outage:{self.bus.log.name}:{began}"))
        subject = "the store is away"
        text = f"{subject}: {away.message()}\n"
        for person in self.settings.audience((), kind, operators=True):
            message = OutgoingMessage(
                key=key, kind=str(kind), recipient=person.name, subject=subject, text=text, time=now
            )
            for route in person.routes:
                if route.kinds is None or kind in route.kinds:
                    yield self.lanes[route.channel, person.name], QueuedMessage(message=message, queued_at=now)


async def _tell(lane: DeliveryLane, queued: QueuedMessage, back: anyio.Event) -> None:
    """Send a message, again and again until it is taken, or the store is back: then it is too late."""
    failures = 0
    while not back.is_set():
        try:
            await lane.channel.send(queued, lane.route.address)
        except DeliveryFailed as error:
            failures += 1
            _LOG.warning("%s was not told that the store is away: %s", lane.person.name, error)
            if isinstance(error, DeliveryRefused):
                return
            pause = max(lane.patience.pause(failures, lane.random()), error.retry_after or 0.0)
            with anyio.move_on_after(pause):
                await back.wait()
        else:
            return
