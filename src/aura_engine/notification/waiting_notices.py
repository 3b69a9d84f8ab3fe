"""Waiting notices: what a person must still be notified of through a channel. Bounded, however much happens. Pure."""

from collections import Counter, deque
from datetime import datetime
from uuid import UUID, uuid5

import attrs

from aura_contracts.notification import OutgoingMessage
from aura_engine.notification.notices import Notice

KEPT = 20
"""The notices that a tally keeps whole; of more it keeps the number by kind."""

_NAMESPACE = UUID("a8f1d8de-7f3a-5a59-9a52-21b4c0a3b6c2")
"""The UUID namespace of message keys; never changed."""

MINUTE = 60.0


@attrs.define
class WaitingNotices:
    """What came since the last message."""

    notices: deque[Notice] = attrs.field(factory=deque)
    """The first ones, oldest first."""
    counts: Counter[str] = attrs.field(factory=Counter)
    """By kind, of all."""
    positions: dict[str, int] = attrs.field(factory=dict)
    """By kind, the position of the last one."""
    upto: int = 0
    """The position of the last one of all."""
    last: datetime | None = None

    def __len__(self) -> int:
        return self.counts.total()

    @property
    def first_position(self) -> int | None:
        """The position of the first one."""
        return self.notices[0].position if self.notices else None

    @property
    def first_time(self) -> datetime | None:
        """When the first one happened."""
        return self.notices[0].item.time if self.notices else None

    def add(self, notice: Notice) -> None:
        """Add one, in the order of the log."""
        if len(self.notices) == len(self) < KEPT:
            self.notices.append(notice)
        self.counts[notice.kind] += 1
        self.upto, self.last = notice.position, notice.item.time
        self.positions[notice.kind] = notice.position

    def take(self, channel: str, recipient: str, *, together: bool) -> tuple[OutgoingMessage, dict[str, int]]:
        """Return the next message and, by kind, the position up to which it tells all; and forget what it tells.

        One about the first notice, or one about all, with `together` or if there are more than are kept whole.
        """
        if len(self) == 1 or not (together or len(self) > len(self.notices)):
            notice = self.notices.popleft()
            self.counts[notice.kind] -= 1
            return _single(notice, channel, recipient), {notice.kind: notice.position}
        message, positions = _digest(self, channel, recipient), self.positions
        self.notices.clear()
        self.counts.clear()
        self.positions = {}
        return message, positions


@attrs.define
class Meter:
    """How many messages were sent within a minute, by the clock that no one sets, in seconds."""

    per_minute: int
    _times: deque[float] = attrs.field(factory=deque)

    def note(self, now: float) -> None:
        """Note a message."""
        self._times.append(now)

    def room(self, now: float) -> int:
        """Return how many more may be sent now."""
        while self._times and self._times[0] + MINUTE <= now:
            self._times.popleft()
        return max(self.per_minute - len(self._times), 0)


def _key(channel: str, recipient: str, *events: str) -> str:
    return str(uuid5(_NAMESPACE, "\n".join((channel, recipient, *events))))


def _single(notice: Notice, channel: str, recipient: str) -> OutgoingMessage:
    item = notice.item
    return OutgoingMessage(
        key=_key(channel, recipient, item.key),
        kind=item.kind,
        recipient=recipient,
        subject=item.subject,
        text=f"{notice.text}\n",
        time=item.time,
        thread=item.about,
        items=(item,),
    )


def _digest(tally: WaitingNotices, channel: str, recipient: str) -> OutgoingMessage:
    number = len(tally)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.counts.items()) if count)
    items = tuple(notice.item for notice in tally.notices)
    lines = [f"{item.time:%Y-%m-%d %H:%M} UTC  {item.kind}: {item.subject}" for item in items]
    if number > len(items):
        lines.append(f"and {number - len(items)} more")
    assert tally.last is not None, "there is something to tell"
    return OutgoingMessage(
        key=_key(channel, recipient, items[0].key, str(tally.upto)),
        kind="digest",
        recipient=recipient,
        subject=f"{number} notifications: {kinds}",
        text="\n".join(lines) + "\n",
        time=tally.last,
        count=number,
        items=items,
    )
