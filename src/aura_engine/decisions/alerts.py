"""Decisions about alerts: only AURA looks, and an alert that is open is not raised again."""

from aura_contracts.alerts import ALERTS, AlertCleared, AlertRaised, Alerts, ClearAlert, RaiseAlert
from aura_engine.decisions._decider import Context, Decider, Events, only_system

_only_aura = only_system("AURA raises alerts")


def _raise(state: Alerts | None, command: RaiseAlert, context: Context) -> Events:
    if state is not None and state.find(command.kind, command.about) is not None:
        return []
    return [AlertRaised(kind=command.kind, about=command.about, subject=command.subject, to=command.to)]


def _clear(state: Alerts, command: ClearAlert, context: Context) -> Events:
    if state.find(command.kind, command.about) is None:
        return []
    return [AlertCleared(kind=command.kind, about=command.about)]


ALERTS_DECIDER = Decider(ALERTS, {RaiseAlert: (_only_aura, _raise), ClearAlert: (_only_aura, _clear)})
