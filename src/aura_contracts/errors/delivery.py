"""Errors of sending notifications."""

from aura_contracts.errors.base import AuraError, Recovery


class DeliveryFailed(AuraError, code="delivery_failed"):
    """A channel could not send a message. `retry_after` is in seconds, if the other side said so."""

    recovery = Recovery.LATER
    summary = "channel {channel}: {reason}"
    channel: str
    reason: str
    retry_after: float | None = None


class DeliveryRefused(DeliveryFailed, code="delivery_refused"):
    """A channel will not take a message, however often it is sent."""

    recovery = Recovery.HUMAN
    remedy: str = "correct the channel in notifications.yaml, then retry"
