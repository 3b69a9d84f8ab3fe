"""A mapper for `eventsourcing`, so that its event store and everything built on it can read AURA's tables.

    EventStore(AuraMapper(compressor=..., cipher=...), recorder).get(stream_id)

`recorder` is the library's own, for SQLite or PostgreSQL, with ids as text. In an application, set ``MAPPER_TOPIC`` to
``aura_store.mapper:AuraMapper``, ``ORIGINATOR_ID_TYPE`` to ``text`` and ``CREATE_TABLE`` to ``no``. Use the compressor
and cipher that the log was created with. Writing is refused, because events must be sealed by the log.
"""

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    Cipher,
    Compressor,
    JSONTranscoder,
    Mapper,
    Notification,
    NotSupportedError,
    StoredEvent,
    Transcoder,
)

from aura_contracts.catalogue import CATALOGUE, EventCatalogue
from aura_contracts.events import EventRecord
from aura_store.log._codec import FactCodec


class RecordedEvent(EventRecord, frozen=True, gc=False):
    """An `EventRecord` with the attribute names of the library; it folds like any fact.

    `position` is 0 if the library does not provide it: it does for notifications, but not for the events of one stream.
    """

    @property
    def originator_id(self) -> str:
        return self.stream_id

    @property
    def originator_version(self) -> int:
        return self.version


class AuraMapper(Mapper[str]):
    """Turns stored events into `RecordedEvent`s. Its constructor is that of the library's own mapper.

    The transcoder is not used: AURA has its own encoding.
    """

    def __init__(
        self,
        transcoder: Transcoder | None = None,
        compressor: Compressor | None = None,
        cipher: Cipher | None = None,
        *,
        catalogue: EventCatalogue = CATALOGUE,
    ) -> None:
        super().__init__(transcoder or JSONTranscoder(), compressor=compressor, cipher=cipher)
        self._codec = FactCodec(catalogue, compressor=compressor, cipher=cipher)

    def to_domain_event(self, stored_event: StoredEvent) -> RecordedEvent:
        """Return the event with its circumstances. Raises `LogDamaged` if it does not decode."""
        position = stored_event.id if isinstance(stored_event, Notification) else 0
        stream_id, version = str(stored_event.originator_id), stored_event.originator_version
        fact = self._codec.decode(position, stream_id, stored_event.topic, stored_event.state)
        return RecordedEvent(
            position, stream_id, version, fact.event, fact.time, fact.actor, fact.correlation_id, fact.causation_id
        )

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Refuse."""
        name = type(domain_event).__name__
        raise NotSupportedError(f"{name} is not stored: append it through aura_store.open_log, which seals it")
