"""Subjects: what one engine at a time drives, under a lock, and what drives it: tasks and workflows alike."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import ClassVar, Protocol

import attrs

from aura_contracts.errors import AuraError
from aura_contracts.events import EventRecord
from aura_contracts.ids import StreamId


class StreamListener(Protocol):
    """What is woken at every event of streams."""

    def wake(self, record: EventRecord | None = None) -> None:
        """Have it look again; `record` is the event, None for a change outside the log."""
        ...


class Listeners(Protocol):
    """Wakes drivers at events of the streams they listen to."""

    def listen(self, listener: StreamListener, stream_id: StreamId) -> None:
        """Wake the listener at every event of a stream from now on."""

    def leave(self, listener: StreamListener, stream_id: StreamId) -> None:
        """Stop waking the listener at events of this stream."""

    def notify(self) -> None:
        """Wake all waiters: a driver is blocked, or no longer blocked."""


class SubjectDriver(StreamListener, Protocol):
    """What drives one subject."""

    last_error: AuraError | None
    """The error that holds it up, which it retries; None without one."""
    streams: frozenset[StreamId]
    """The streams that it listens to."""
    stepped_back: bool
    """Whether another engine drives the subject now."""

    @property
    def woken(self) -> bool:
        """Whether it was woken since it last looked."""
        ...

    def step_back(self) -> None:
        """Stop, because another engine has the lock of the subject."""
        ...

    async def run(self) -> None:
        """Drive the subject until nothing is left to do. Cancel to stop; another driver can continue."""
        ...


class SubjectKind(ABC):
    """One kind of what is driven: how it is driven, and what is left of it."""

    name: str
    """The name of its aggregate, which is in the keys of locks."""
    needs_worker: ClassVar[bool]
    """Whether its drivers wait for a worker, not only where they say so by an error."""

    @abstractmethod
    def driver(self, subject_id: StreamId, listeners: Listeners, *, starts: bool) -> SubjectDriver:
        """Return a driver that has not begun; without `starts` it only repairs."""

    @abstractmethod
    async def has_work(self, subject_id: StreamId) -> bool:
        """Whether something is left to do. Raises the errors of the read models."""

    @abstractmethod
    def unfinished(self) -> AsyncGenerator[StreamId, None]:
        """Yield all that have work left, oldest first. Raises the errors of the read models."""

    async def left_to(self, subject_id: StreamId) -> str | None:
        """Return the engine that another one would take running work from; None: what runs is lost to no one."""
        return None

    @abstractmethod
    def taken(self, subject_id: StreamId) -> None:
        """Do more when this engine drives a subject from now on."""


@attrs.frozen
class DrivenSubject:
    """Something that one engine at a time drives."""

    kind: SubjectKind
    id: StreamId

    @property
    def lock(self) -> str:
        """The key of the lock under which it is driven."""
        return f"{self.kind.name}:{self.id}"

    def __str__(self) -> str:
        return f"{self.kind.name} {self.id}"
