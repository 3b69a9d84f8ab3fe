"""Decisions about outboxes: AURA queues and sends, people have dead letters sent again."""

from aura_contracts.outbox import (
    OUTBOX,
    GiveUpNotification,
    NotificationGivenUp,
    NotificationQueued,
    NotificationRetried,
    NotificationSent,
    Outbox,
    QueueNotification,
    RecordNotificationSent,
    RetryNotification,
)
from aura_engine.decisions._decider import Context, Decider, Events, RuleBroken, no_agent, only_system, require_zone

_only_aura = only_system("AURA queues notifications, and records what became of them")
_no_agent = no_agent("agents do not send notifications")


def _queue(state: Outbox | None, command: QueueNotification, context: Context) -> Events:
    require_zone("time", command.message.time, *(item.time for item in command.message.items))
    if not command.positions or command.after.keys() != command.positions.keys():
        raise RuleBroken("lane", "a message has a lane at least, with a position before it and one after it")
    lanes = {} if state is None else state.lanes
    if state is not None and all(position <= lanes.get(lane, 0) for lane, position in command.positions.items()):
        return []
    for lane, after in command.after.items():
        if (position := lanes.get(lane, 0)) != after:
            raise RuleBroken("lane", f"the lane {lane} is at {position}, not at {after}")
    return [NotificationQueued(channel=command.channel, positions=command.positions, message=command.message)]


def _record_sent(state: Outbox, command: RecordNotificationSent, context: Context) -> Events:
    if state.pending_of(command.key) is None:
        return []
    return [NotificationSent(key=command.key, attempts=command.attempts)]


def _give_up(state: Outbox, command: GiveUpNotification, context: Context) -> Events:
    if state.pending_of(command.key) is None:
        return []
    return [NotificationGivenUp(key=command.key, reason=command.reason, attempts=command.attempts)]


def _retry(state: Outbox, command: RetryNotification, context: Context) -> Events:
    if state.pending_of(command.key) is not None:
        return []
    if state.dead_of(command.key) is None:
        raise RuleBroken("key", f"{command.key} is not a dead letter")
    return [NotificationRetried(key=command.key)]


OUTBOX_DECIDER = Decider(
    OUTBOX,
    {
        QueueNotification: (_only_aura, _queue),
        RecordNotificationSent: (_only_aura, _record_sent),
        GiveUpNotification: (_only_aura, _give_up),
        RetryNotification: (_no_agent, _retry),
    },
)
