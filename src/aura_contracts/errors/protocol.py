"""Errors between engine and worker."""

from typing import Any

from aura_contracts.errors.base import AuraError, Recovery


class ProtocolError(AuraError, code="protocol"):
    """Engine and worker disagree about the protocol."""

    summary = "{reason}"
    reason: str


class LocalProtocolError(ProtocolError, code="local_protocol"):
    """This side violated the protocol, or was about to: a bug here, or a message too large for a frame.

    Blame is relative: sent to the other side, this error arrives as `RemoteProtocolError`, and the reverse.
    """


class FrameTooLarge(LocalProtocolError, code="frame_too_large"):
    """A message exceeds the size of a frame and was not sent; sizes are in bytes."""

    size: int
    limit: int


class RemoteProtocolError(ProtocolError, code="remote_protocol"):
    """The other side violated the protocol: not JSON-RPC, wrong parameters, or a step out of order."""


class UnknownMethod(ProtocolError, code="unknown_method"):
    """A request names a method that this side does not have."""

    method: str


class RemoteError(AuraError, code="remote"):
    """The other side failed with an error unknown to this side; `remote_code` and `details` come from there."""

    summary = "{reason}"
    remote_code: str
    reason: str
    details: dict[str, Any]


class WorkerUnavailable(AuraError, code="worker_unavailable"):
    """There is no worker, or it disconnected during a request; the request may or may not have been carried out."""

    summary = "{reason}"
    recovery = Recovery.LATER
    reason: str
    remedy: str = "repeat the request when the worker is back; this is safe"
