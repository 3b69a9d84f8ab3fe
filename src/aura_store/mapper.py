"""A mapper for `eventsourcing`: its event store, and what is built on it, read AURA's tables.

    EventStore(AuraMapper(compressor=..., cipher=...), recorder).get(stream_id)

`recorder` is the library's own, for SQLite or PostgreSQL, with ids as text; in an application, set ``MAPPER_TOPIC`` to
``aura_store.mapper:AuraMapper``, ``ORIGINATOR_ID_TYPE`` to ``text`` and ``CREATE_TABLE`` to ``no``. Compressor and
cipher are those that the log was made with. Writing is refused: what is not sealed by the log does not belong in it.
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

from aura_contracts.aggregates import CATALOGUE
from aura_contracts.catalogue import EventCatalogue
from aura_contracts.events import EventRecord
from aura_store.log._codec import Codec


class RecordedEvent(EventRecord, frozen=True, gc=False):
    """An `EventRecord` that answers to the library's names; it folds as any fact does.

    `position` is 0 where the library does not hand it over: it does for notifications, not for events of one stream.
    """

    @property
    def originator_id(self) -> str:
        return self.stream_id

    @property
    def originator_version(self) -> int:
        return self.version


class AuraMapper(Mapper[str]):
    """Turns stored events into `RecordedEvent`s. Constructed as the library constructs its own mapper.

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
        self._codec = Codec(catalogue, compressor=compressor, cipher=cipher)

    def to_domain_event(self, stored_event: StoredEvent) -> RecordedEvent:
        """Return the event with its circumstances. Raises `LogDamaged` for what does not decode."""
        position = stored_event.id if isinstance(stored_event, Notification) else 0
        stream_id, version = str(stored_event.originator_id), stored_event.originator_version
        fact = self._codec.decode(position, stream_id, stored_event.topic, stored_event.state)
        return RecordedEvent(
            position, stream_id, version, fact.event, fact.time, fact.actor, fact.correlation_id, fact.causation_id
        )

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Refuse."""
        name = type(domain_event).__name__
        raise NotSupportedError(
            f"{name} is not stored: append to AURA's log through aura_store.open_log, which seals it"
        )
