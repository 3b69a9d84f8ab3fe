"""Permission requests of an agent, and the option chosen in answer. Pure.

AURA itself remembers answers for further calls, so it never asks the agent to. It chooses the option of kind
``allow_once`` or ``reject_once``; if there is no such option it cancels the request, which means no.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from aura_contracts.entries import TEXT_LIMIT, PermissionRequested, PermissionWithdrawn
from aura_contracts.first_use import json_decoder
from aura_contracts.permission import fingerprint_of
from aura_contracts.ports.executors import Answer, Send
from aura_executors.adapter.bounded_text import clipped, clipped_value
from aura_executors.adapter.json_lines import NOT_UNDERSTOOD, Item
from aura_executors.adapter.json_rpc import Id, RpcPeer
from aura_executors.adapter.questions import OpenQuestions
from aura_executors.agents.acp import messages
from aura_executors.agents.acp.tool_calls import NAME_LIMIT, Calls, OpenCall
from aura_executors.agents.acp.wire import Asked, CallFields, DiffContent, PermissionRequest, lenient

METHOD = "session/request_permission"
ASKING = b'"method":"session/request_permission"'
HEAD = 200
"""Bytes at the beginning of a line in which the method appears, after the id."""

_ASKED = json_decoder(Asked)

_PASSING = frozenset(
    {"call_id", "turn_id", "item_id", "approval_id", "started_at_ms", "turnId", "itemId", "approvalId"}
)
"""Arguments that codex-acp adds, and that change when it repeats a request."""


class _Open(msgspec.Struct, frozen=True, gc=False):
    """A pending request, with its options for allowing and rejecting once."""

    id: Id
    call: OpenCall
    allow: str | None
    reject: str | None


class Permissions:
    """The pending requests, and the answers that arrived before their requests."""

    def __init__(self, peer: RpcPeer[Any], calls: Calls, *, free: bool = False) -> None:
        """With `free`, every request is permitted once without asking."""
        self.blocked = ""
        """A description of what was not permitted."""
        self.late: list[Send] = []
        """Responses to requests that already had an answer; the owner sends and clears them."""
        self._peer = peer
        self._calls = calls
        self._free = free
        self._questions = OpenQuestions[_Open]()

    def asked(self, id: Id, request: PermissionRequest) -> list[Item]:
        """Process a request."""
        update = request.tool_call
        call = self._calls.known(update)
        own, arguments = update.raw_input, call.arguments
        if call.reported and own and isinstance(own, dict):  # otherwise they belong to the call already
            arguments = clipped_value(own)
        items: list[Item] = [*self._calls.report(call, arguments)]
        allow = reject = None
        for option in reversed(request.options):  # of two options of a kind, the first
            if option.kind == "allow_once":
                allow = option.option_id
            elif option.kind == "reject_once":
                reject = option.option_id
        opened = _Open(id, call, allow, reject)
        if self._free and allow is not None:
            self.late.append(self._respond(opened, Answer(granted=True)))
            return items
        name = clipped(f"{call.call_id}:{id}", NAME_LIMIT)
        items.append(
            PermissionRequested(
                request_id=name,
                tool=call.name,
                fingerprint=fingerprint_of(_name_of(update, call), _about(update, call, own)),
                arguments=arguments,
                diff=_diff(call, arguments),
                call_id=call.call_id,
            )
        )
        if (answer := self._questions.ask(name, opened)) is not None:
            self.late.append(self._respond(opened, answer))
        return items

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        """Return the response to an open request; an early answer is kept until its request arrives."""
        opened = self._questions.answer(request_id, answer)
        return () if opened is None else (self._respond(opened, answer),)

    def cancel(self) -> bytes:
        """Return the responses to all open requests, which the protocol requires when a turn is cancelled."""
        lines = [self._peer.respond(opened.id, messages.cancelled()) for opened in self._questions.open.values()]
        self._questions.open.clear()
        return b"".join(lines)

    def withdraw(self, id: Id | None = None) -> Iterable[PermissionWithdrawn]:
        """Record that the agent no longer waits for one answer, or for any."""
        gone = [name for name, opened in self._questions.open.items() if id is None or opened.id == id]
        for name in gone:
            del self._questions.open[name]
            yield PermissionWithdrawn(request_id=name)

    def _respond(self, opened: _Open, answer: Answer) -> Send:
        option = opened.allow if answer.granted else opened.reject
        if not answer.granted:
            opened.call.denied = True
            self.blocked = self.blocked or f"it was not permitted to use {opened.call.name}"
        elif option is None:
            self.blocked = self.blocked or f"it offered no way to permit {opened.call.name} just once"
        if option is None:
            return Send(self._peer.respond(opened.id, messages.cancelled()))
        feedback = "" if answer.granted else clipped(answer.feedback)
        return Send(self._peer.respond(opened.id, messages.selected(option, feedback)))


def asked_in(line: bytes) -> Asked | None:
    """Return the permission request in a line; None if it is not one, or needs the full reader."""
    try:
        asked = lenient(_ASKED, line)
    except NOT_UNDERSTOOD:
        return None
    return asked if asked.method == METHOD else None


def _name_of(update: CallFields, call: OpenCall) -> str:
    """Return the tool's name by which a request is recognised, preferably the request's own.

    claude-agent-acp 0.49.0 sends the name with the call, which arrives sometimes before and sometimes after the
    request.
    """
    name = update.name or (update.kind if update.kind != "other" else "") or update.title
    return clipped(name, NAME_LIMIT) if name else call.name


def _about(update: CallFields, call: OpenCall, own: object) -> Mapping[str, object]:
    """Return the content of the request, without parts that change when it is repeated."""
    if isinstance(own, dict) and own:
        return own if _PASSING.isdisjoint(own) else {key: own[key] for key in own if key not in _PASSING}
    if own:
        return {"input": own}
    known: dict[str, Any] = {}
    if update.title:
        known["title"] = update.title
    if diffs := [[item.path, item.new_text] for item in update.content or () if type(item) is DiffContent]:
        known["diffs"] = diffs
    elif call.changes:
        known["changes"] = [[change.path, change.diff] for change in call.changes]
    if call.input:
        known["input"] = call.input
    return known or {"call": call.call_id}  # its effect is unknown, so no other request is the same


def _diff(call: OpenCall, arguments: Mapping[str, object]) -> str | None:
    """Return the diff of the request, as shown by the agent or as found in its arguments."""
    if len(call.changes) == 1 and (shown := call.changes[0].diff) and len(shown) <= TEXT_LIMIT:
        return shown
    shown = "".join([change.diff for change in call.changes if change.diff]) if call.changes else ""
    if not shown and isinstance(reported := arguments.get("diff"), str):
        shown = reported.lstrip("\n")
    return clipped(shown) if shown else None
