"""The life of a connection, as a table: which side may send what, and when.

    worker     opening ──hello sent──► greeting ──welcome received──► ready ──► closing ──► closed
    engine     opening ──hello received──► greeting ──welcome sent──► ready ──► closing ──► closed

The worker speaks first and says hello; until the engine has welcomed it, neither side sends anything else. From then on
both may call, notify, answer and refuse at any time. A refused hello leads to closing, as does a close by this side:
there are no new calls, but those under way are still answered. Losing the transport leads to closed, from everywhere.

A connection is one row set of `TABLE`; besides its state it holds the calls under way, in both directions (see
`aura_worker_protocol.connection`). A miss in the table breaks the protocol: it is the fault of the side whose step it
was, which is the other one for the steps in `REMOTE`, and this one for the rest.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """Which side this one is."""

    WORKER = "worker"
    ENGINE = "engine"


class ConnectionState(StrEnum):
    OPENING = "opening"
    """Nothing was sent."""
    GREETING = "greeting"
    """Hello was sent and is not answered yet."""
    READY = "ready"
    CLOSING = "closing"
    """No new calls; answers still come and go."""
    CLOSED = "closed"


class ConnectionStep(StrEnum):
    """What can happen on a connection."""

    HELLO_SENT = "hello sent"
    HELLO_RECEIVED = "hello received"
    WELCOME_SENT = "welcome sent"
    WELCOME_RECEIVED = "welcome received"
    HELLO_REFUSAL_SENT = "refusal of hello sent"
    HELLO_REFUSAL_RECEIVED = "refusal of hello received"
    CALL_SENT = "request or notification sent"
    CALL_RECEIVED = "request or notification received"
    RESPONSE_SENT = "response sent"
    RESPONSE_RECEIVED = "response received"
    CLOSE = "close"
    """This side closes."""
    END = "end"
    """The transport is gone, or the other side broke the protocol."""


REMOTE = frozenset(
    {
        ConnectionStep.HELLO_RECEIVED,
        ConnectionStep.WELCOME_RECEIVED,
        ConnectionStep.HELLO_REFUSAL_RECEIVED,
        ConnectionStep.CALL_RECEIVED,
        ConnectionStep.RESPONSE_RECEIVED,
    }
)
"""Steps of the other side."""

Rows = Mapping[ConnectionState, Mapping[ConnectionStep, ConnectionState]]

_READY = {
    ConnectionStep.CALL_SENT: ConnectionState.READY,
    ConnectionStep.CALL_RECEIVED: ConnectionState.READY,
    ConnectionStep.RESPONSE_SENT: ConnectionState.READY,
    ConnectionStep.RESPONSE_RECEIVED: ConnectionState.READY,
    ConnectionStep.CLOSE: ConnectionState.CLOSING,
    ConnectionStep.END: ConnectionState.CLOSED,
}

_CLOSING = {
    ConnectionStep.CALL_RECEIVED: ConnectionState.CLOSING,  # was under way; it is refused
    ConnectionStep.RESPONSE_SENT: ConnectionState.CLOSING,
    ConnectionStep.RESPONSE_RECEIVED: ConnectionState.CLOSING,
    ConnectionStep.CLOSE: ConnectionState.CLOSING,
    ConnectionStep.END: ConnectionState.CLOSED,
}

_CLOSED = {ConnectionStep.CLOSE: ConnectionState.CLOSED, ConnectionStep.END: ConnectionState.CLOSED}

_ANY_TIME = {ConnectionStep.CLOSE: ConnectionState.CLOSING, ConnectionStep.END: ConnectionState.CLOSED}

TABLE: Mapping[Role, Rows] = MappingProxyType(
    {
        Role.WORKER: {
            ConnectionState.OPENING: {ConnectionStep.HELLO_SENT: ConnectionState.GREETING, **_ANY_TIME},
            ConnectionState.GREETING: {
                ConnectionStep.WELCOME_RECEIVED: ConnectionState.READY,
                ConnectionStep.HELLO_REFUSAL_RECEIVED: ConnectionState.CLOSING,
                **_ANY_TIME,
            },
            ConnectionState.READY: _READY,
            ConnectionState.CLOSING: {
                ConnectionStep.WELCOME_RECEIVED: ConnectionState.CLOSING,  # this side has closed meanwhile
                ConnectionStep.HELLO_REFUSAL_RECEIVED: ConnectionState.CLOSING,
                **_CLOSING,
            },
            ConnectionState.CLOSED: _CLOSED,
        },
        Role.ENGINE: {
            ConnectionState.OPENING: {ConnectionStep.HELLO_RECEIVED: ConnectionState.GREETING, **_ANY_TIME},
            ConnectionState.GREETING: {
                ConnectionStep.WELCOME_SENT: ConnectionState.READY,
                ConnectionStep.HELLO_REFUSAL_SENT: ConnectionState.CLOSING,
                **_ANY_TIME,
            },
            ConnectionState.READY: _READY,
            ConnectionState.CLOSING: {
                ConnectionStep.WELCOME_SENT: ConnectionState.CLOSING,
                ConnectionStep.HELLO_REFUSAL_SENT: ConnectionState.CLOSING,
                **_CLOSING,
            },
            ConnectionState.CLOSED: _CLOSED,
        },
    }
)
