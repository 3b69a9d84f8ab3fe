"""Permissions: requests of ``codex app-server`` become questions to a human, and answers become responses. Pure."""

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from aura_contracts.entries import TEXT_LIMIT, ErrorReported, PermissionRequested, PermissionWithdrawn
from aura_contracts.first_use import json_decoder
from aura_contracts.permission import fingerprint_of
from aura_contracts.ports.executors import Answer, Send
from aura_executors.adapter.bounded_text import clipped, clipped_value, put
from aura_executors.adapter.json_lines import Item
from aura_executors.adapter.json_rpc import INVALID_PARAMS, METHOD_NOT_FOUND, Id, RpcPeer, RpcRequest
from aura_executors.adapter.questions import LIMIT, OpenQuestions
from aura_executors.agents.codex.command import readable
from aura_executors.agents.codex.items import PATH_LIMIT, FileUpdateChange, Items, changes_as_arguments, diff_of


class _Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    thread_id: str = ""
    turn_id: str | None = None
    item_id: str = ""
    reason: str | None = None


class _Command(_Asked, frozen=True, kw_only=True, gc=False, rename="camel"):
    kind: str = "command"
    approval_id: str | None = None
    command: str | None = None
    cwd: str | None = None
    network_approval_context: Any = None


class _FileChange(_Asked, frozen=True, kw_only=True, gc=False, rename="camel"):
    grant_root: str | None = None


class _More(_Asked, frozen=True, kw_only=True, gc=False):
    permissions: dict[str, Any]
    cwd: str | None = None


class _Elicitation(_Asked, frozen=True, kw_only=True, gc=False, rename="camel"):
    server_name: str = ""
    mode: str = ""
    message: str = ""
    meta: Any = msgspec.field(name="_meta", default=None)


class _Open(msgspec.Struct, frozen=True, gc=False):
    """An open question, with the responses that grant and refuse it."""

    id: Id
    granted: Any
    denied: Any
    thread: str
    turn: str
    tool: str


class Permissions:
    """The open questions of codex, and the answers that arrived before their questions."""

    def __init__(self, peer: RpcPeer[Any], items: Items) -> None:
        self.blocked = ""
        """A description of what was denied, if codex does not report it itself."""
        self._peer = peer
        self._items = items
        self._questions = OpenQuestions[_Open]()
        self._names: dict[Id, str] = {}

    def asked(self, request: RpcRequest) -> Iterable[Item]:
        """Process a request of codex; an unknown one is refused, so that codex does not wait."""
        try:
            match request.method:
                case "item/commandExecution/requestApproval":
                    return self._command(request.id, _COMMAND.decode(request.params))
                case "item/fileChange/requestApproval":
                    return self._file_change(request.id, _FILE_CHANGE.decode(request.params))
                case "item/permissions/requestApproval":
                    return self._more(request.id, _MORE.decode(request.params))
                case "mcpServer/elicitation/request":
                    return self._elicitation(request.id, _ELICITATION.decode(request.params))
        except msgspec.MsgspecError as error:
            words = f"{request.method}: {error}"
            return self._refused(request, words, INVALID_PARAMS)
        return self._refused(request, f"this client cannot answer {request.method}", METHOD_NOT_FOUND)

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        """Return the response to an open question; an early answer is kept until its question arrives."""
        asked = self._questions.answer(request_id, answer)
        return () if asked is None else self._respond(asked, answer)

    def resolved(self, id: Id) -> Iterable[Item]:
        """Record that codex no longer waits, whether or not it got an answer."""
        name = self._names.pop(id, None)
        if name is None:
            return ()
        self._questions.open.pop(name, None)
        return (PermissionWithdrawn(request_id=name),)

    # --- OpenQuestions

    def _command(self, id: Id, asked: _Command) -> Iterable[Item]:
        call: dict[str, Any] = {"command": asked.command, "cwd": asked.cwd}
        if asked.network_approval_context is not None:
            call["network"] = asked.network_approval_context
        if asked.kind != "command":
            call["kind"] = asked.kind
        known = asked.command is not None and asked.kind == "command"
        if not known and asked.network_approval_context is None:
            call["item"] = asked.item_id  # its effect is unknown, so no other question is the same
        shown_call = {**call, "command": bare(asked.command or ""), "reason": asked.reason}
        shown = {name: clipped_value(value) for name, value in shown_call.items() if value}
        return self._ask(id, asked, "shell", call, shown, {"decision": "accept"}, {"decision": "decline"})

    def _file_change(self, id: Id, asked: _FileChange) -> Iterable[Item]:
        changes: Sequence[FileUpdateChange] | None = self._items.changes_of(asked.item_id)
        call: dict[str, Any] = {"changes": msgspec.to_builtins(changes), "root": asked.grant_root}
        if not changes:
            call["item"] = asked.item_id
        shown: dict[str, Any] = {"changes": changes_as_arguments(changes or ())}
        shown |= {"root": clipped(asked.grant_root, PATH_LIMIT)} if asked.grant_root else {}
        shown |= {"reason": clipped(asked.reason)} if asked.reason else {}
        diff = diff_of(changes) if changes else None
        granted, denied = {"decision": "accept"}, {"decision": "decline"}
        return self._ask(id, asked, "apply_patch", call, shown, granted, denied, diff)

    def _more(self, id: Id, asked: _More) -> Iterable[Item]:
        wanted = {name: value for name, value in asked.permissions.items() if value is not None}
        call = {"permissions": wanted, "cwd": asked.cwd}
        shown = {name: clipped_value(value) for name, value in {**call, "reason": asked.reason}.items() if value}
        granted: dict[str, Any] = {"permissions": wanted, "scope": "turn"}
        denied: dict[str, Any] = {"permissions": {}, "scope": "turn"}
        return self._ask(id, asked, "request_permissions", call, shown, granted, denied)

    def _elicitation(self, id: Id, asked: _Elicitation) -> Iterable[Item]:
        """Ask whether a tool server's tool may be called. Other questions, such as forms, need a human at a screen."""
        declined = {"action": "decline", "content": None, "_meta": None}
        meta = asked.meta if isinstance(asked.meta, dict) else {}
        if meta.get("codex_approval_kind") != "mcp_tool_call":
            words = f"the tool server {asked.server_name} asked something that was declined: {asked.message}"
            self.blocked = self.blocked or clipped(words, 500)
            return (ErrorReported(message=clipped(words)), Send(self._peer.respond(id, declined)))
        call = {name: meta[name] for name in ("tool_name", "tool_title", "tool_params") if meta.get(name) is not None}
        call = {"server": asked.server_name, "message": asked.message, **call}
        granted: dict[str, Any] = {"action": "accept", "content": {}, "_meta": None}
        name = meta.get("tool_name") or "tool"
        tool = f"{asked.server_name}.{name}"
        asked = msgspec.structs.replace(asked, item_id=self._items.call_of(asked.server_name, name))
        return self._ask(id, asked, tool, call, clipped_value(call), granted, declined)

    def _ask(
        self,
        id: Id,
        asked: _Asked,
        tool: str,
        call: dict[str, Any],
        shown: dict[str, Any],
        granted: Any,
        denied: Any,
        diff: str | None = None,
    ) -> Iterable[Item]:
        """Ask a human; `call` is the subject of the question, without parts that change when it is repeated."""
        name = clipped(f"{asked.item_id or asked.turn_id or asked.thread_id}:{id}", 200)
        put(self._names, id, name, LIMIT)
        opened = _Open(id, granted, denied, asked.thread_id, asked.turn_id or "", clipped(tool, 500))
        request = PermissionRequested(
            request_id=name,
            tool=clipped(tool, 500),
            fingerprint=fingerprint_of(tool, call),
            arguments=shown,
            diff=diff,
            call_id=clipped(asked.item_id, 200),
        )
        answer = self._questions.ask(name, opened)
        return (request,) if answer is None else (request, *self._respond(opened, answer))

    # --- Answers

    def _respond(self, asked: _Open, answer: Answer) -> Iterable[Send]:
        """Return one thing to send: the response, preceded by the feedback, for which a response has no field.

        The feedback is a message to the running turn, which the model reads after the refusal.
        """
        if not answer.granted:
            self.blocked = self.blocked or f"it was not permitted to use {asked.tool}"
        line = self._peer.respond(asked.id, asked.granted if answer.granted else asked.denied)
        if not answer.granted and answer.feedback and asked.turn:
            text = {"type": "text", "text": readable(f"The user did not permit this: {answer.feedback}")}
            steer = {"threadId": asked.thread, "expectedTurnId": asked.turn, "input": [text]}
            line = self._peer.request("turn/steer", steer, None, id=f"feedback-{asked.id}") + line
        return (Send(line),)

    def _refused(self, request: RpcRequest, words: str, code: int) -> Iterable[Item]:
        refusal = Send(self._peer.refuse(request.id, clipped(words, 500), code))
        return (ErrorReported(message=clipped(f"codex asked what AURA cannot answer: {words}", 1_000)), refusal)


def bare(command: str) -> str:
    """Return the command without the shell that codex wraps around it.

    Rules match the command itself: ``shell(rm *)`` also matches ``/bin/bash -lc 'rm x'``.
    """
    wrapped = _WRAPPED.fullmatch(command) if len(command) <= TEXT_LIMIT else None
    if wrapped is None:
        return command
    script = wrapped["script"]
    if _QUOTED.fullmatch(script):
        inner = script[1:-1]
        return _ESCAPED.sub(r"\1", inner) if script[0] == '"' and "\\" in inner else inner
    try:
        words = shlex.split(script)
    except ValueError:
        return command
    return words[0] if len(words) == 1 else command


_WRAPPED = re.compile(r"(?:[^\s'\"]*/)?(?:bash|sh|zsh) -l?c (?P<script>.*)", re.DOTALL)
_QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]++|\\.)*+\"", re.DOTALL)
"""One word, which `shlex` would take the quotes from and, within double ones, what escapes; it takes its time."""
_ESCAPED = re.compile(r"\\([\\\"])")

_COMMAND = json_decoder(_Command)
_FILE_CHANGE = json_decoder(_FileChange)
_MORE = json_decoder(_More)
_ELICITATION = json_decoder(_Elicitation)
