"""A run of ``codex app-server``: JSON-RPC over lines, without the member ``jsonrpc``. Pure.

    AURA                              codex
    initialize                 ->
                               <-     (reply)
    initialized, thread/start  ->                    or thread/resume, thread/fork
                               <-     (reply with the thread)
    turn/start                 ->
                               <-     item/started, item/completed, thread/tokenUsage/updated, ...
                               <-     item/commandExecution/requestApproval, ...      (a request)
    (reply with the decision)  ->
                               <-     turn/completed
    (standard input is closed)

Subagents have their own threads on the same connection: their calls and questions are reported, their messages are not,
and their turns do not end the run.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    Usage,
    UsageReported,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import json_decoder
from aura_contracts.ports.executors import AgentRun, Answer, Send
from aura_contracts.ports.processes import ProcessExit
from aura_executors.adapter.bounded_text import clipped
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import Item, ReportedTurn, lost_session
from aura_executors.adapter.json_rpc import Id, RpcCall, RpcError, RpcPeer, RpcReply, RpcRequest, method_of
from aura_executors.adapter.options import prompt_of
from aura_executors.agents.codex.command import CodexOptions, Sandbox, readable, thread_of
from aura_executors.agents.codex.failures import failure_of_turn, no_such_session
from aura_executors.agents.codex.items import WORDS, AnyItem, FileUpdateChange, Items
from aura_executors.agents.codex.permissions import Permissions
from aura_executors.agents.codex.tokens import Consumption, TokenUsage

Then = Callable[[msgspec.Raw, RpcError | None], Iterable[Item]]


class _Id(msgspec.Struct, frozen=True, gc=False):
    id: str


class _ThreadReply(msgspec.Struct, frozen=True, gc=False):
    thread: _Id
    model: str = ""


class _TurnReply(msgspec.Struct, frozen=True, gc=False):
    turn: _Id


class _ItemNotice(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    item: AnyItem
    thread_id: str = ""


class _Patch(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    item_id: str
    changes: list[FileUpdateChange] = []


class _Error(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    message: str = ""
    codex_error_info: Any = None
    additional_details: str | None = None


class _ErrorNotice(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    error: _Error
    will_retry: bool = False


class _Warning(msgspec.Struct, frozen=True, gc=False):
    message: str = ""


class _ConfigWarning(msgspec.Struct, frozen=True, gc=False):
    summary: str = ""
    details: str | None = None
    path: str | None = None


class _Turn(msgspec.Struct, frozen=True, gc=False):
    id: str
    status: str = ""
    error: _Error | None = None


class _TurnOf(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    turn: _Turn
    thread_id: str = ""


class _Step(msgspec.Struct, frozen=True, gc=False):
    step: str
    status: str = "pending"


class _PlanOf(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    plan: list[_Step] = []
    thread_id: str = ""


class _Used(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    token_usage: TokenUsage
    thread_id: str = ""
    turn_id: str = ""


class _Resolved(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    request_id: Id


class _Rerouted(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    to_model: str = ""
    thread_id: str = ""


_THREAD = json_decoder(_ThreadReply)
_TURN = json_decoder(_TurnReply)
_SKIPPED = frozenset(
    b"""
    account/gatewayOAuth/changed account/login/completed account/rateLimits/updated account/updated
    app/list/updated autoApprovalReview/strictReviewRequired command/exec/outputDelta deprecationNotice
    externalAgentConfig/import/completed externalAgentConfig/import/progress fs/changed
    fuzzyFileSearch/sessionCompleted fuzzyFileSearch/sessionUpdated hook/completed hook/started
    item/agentMessage/delta item/autoApprovalReview/completed item/autoApprovalReview/started
    item/commandExecution/outputDelta item/commandExecution/terminalInteraction item/fileChange/outputDelta
    item/mcpToolCall/progress item/plan/delta item/reasoning/summaryPartAdded item/reasoning/summaryTextDelta
    item/reasoning/textDelta mcpServer/event/stream/notification mcpServer/oauthLogin/completed
    mcpServer/startupStatus/updated model/safetyBuffering/updated model/verification
    modelProvider/authRecoveryCompleted modelProvider/authRecoveryStarted process/exited process/outputDelta
    project/changed rawResponse/completed rawResponseItem/completed remoteControl/status/changed skills/changed
    thread/archived thread/attachment/updated thread/closed thread/compacted thread/deleted
    thread/environment/connected thread/environment/disconnected thread/goal/cleared thread/goal/updated
    thread/name/updated thread/prediction/updated thread/project/updated thread/queue/changed
    thread/readState/changed thread/realtime/closed thread/realtime/error thread/realtime/item/completed
    thread/realtime/item/started thread/realtime/item/transcript/delta thread/realtime/itemAdded
    thread/realtime/outputAudio/delta thread/realtime/sdp thread/realtime/started
    thread/realtime/transcript/delta thread/realtime/transcript/done thread/reverted thread/section/changed
    thread/settings/updated thread/started thread/status/changed thread/unarchived turn/diff/updated
    turn/moderationMetadata windows/worldWritableWarning windowsSandbox/setupCompleted
    """.split()
)
"""Notifications of version 0.169 (ServerNotification of ``codex app-server generate-ts``) that make no entries."""

_METHOD = b'{"method":"'
_FRONT = len(_METHOD)

_STATUS = {"inProgress": "in_progress"}


_Take = Callable[["AppServerConversation", Any], Iterable[Item]]
_Handler = tuple[Callable[[bytes], RpcCall[Any]], _Take]


def _handler(params: Any, take: Callable[..., Iterable[Item]]) -> _Handler:
    return json_decoder(RpcCall[params]).decode, take


class AppServerConversation(ReportedTurn):
    """Drives one run of ``codex app-server``."""

    listening = True

    def __init__(self, run: AgentRun, options: CodexOptions) -> None:
        super().__init__()
        self._run = run
        self._prompt = readable(prompt_of(run, options))
        self._begin = thread_of(run, options)
        self._peer: RpcPeer[Then | None] = RpcPeer(tagged=False)
        self._items = Items(sandboxed=options.sandboxed is not Sandbox.DANGER_FULL_ACCESS)
        self._permissions = Permissions(self._peer, self._items)
        self._thread = self._turn = ""
        self._model = options.model or ""
        self._read_only = options.sandboxed is Sandbox.READ_ONLY
        self._quiet = False
        """Whether the model's last answer called no reported tool; if another follows, it called an unreported one."""
        self._busy = False
        """Whether codex reported a tool since then."""
        self._consumption = Consumption()
        self._unseen = ""
        hello = {"clientInfo": {"name": "aura", "title": "AURA", "version": "1"}, "capabilities": None}
        self.hello = self._peer.request("initialize", hello, self._initialized)
        """The first line to send."""

    @property
    def blocked(self) -> str:  # type: ignore[override]
        """What codex was not permitted to do."""
        return self._items.blocked or self._permissions.blocked or self._unseen

    def understand(self, line: bytes) -> Iterable[Item] | None:
        # `method_of`, inlined to save a call per line
        method = line[_FRONT : line.find(b'"', _FRONT)] if line.startswith(_METHOD) else method_of(line)
        if method in _SKIPPED:
            return ()
        if method is None or (known := self._NOTIFICATIONS.get(method)) is None:
            return self._other(line)
        decode, take = known
        call = decode(line)
        return take(self, call.params) if call.id is None else None

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        return self._permissions.answer(request_id, answer)

    def interrupt(self) -> Iterable[Send]:
        if not self._turn or self.finished is not None:
            return ()
        params = {"threadId": self._thread, "turnId": self._turn}
        return (Send(self._peer.request("turn/interrupt", params, None, id="interrupt")),)

    def end(self, exit: ProcessExit) -> Iterable[Entry]:
        return [*super().end(exit), *self._consumed()]

    # --- Replies and requests

    def _other(self, line: bytes) -> Iterable[Item] | None:
        message = self._peer.read(line)
        match message:
            case None:
                return None
            case RpcReply():
                return self._replied(message)
            case RpcRequest():
                return self._permissions.asked(message)
        method = message.method.encode("utf-8", "replace")
        if known := self._NOTIFICATIONS.get(method):  # its method is not at the beginning
            decode, take = known
            return take(self, decode(line).params)
        return () if method in _SKIPPED else None

    def _replied(self, reply: RpcReply[Then | None]) -> Iterable[Item]:
        if reply.then is not None:
            return reply.then(reply.result, reply.error)
        if reply.error is not None:  # of an interrupt, or of feedback, that came too late
            return (ErrorReported(message=clipped(f"codex: {reply.error.message}")),)
        return ()

    def _initialized(self, result: msgspec.Raw, error: RpcError | None) -> Iterable[Item]:
        if error is not None:
            return self.finish(failure_from(f"codex refused to begin: {error.message}"))
        method, params = self._begin
        return (Send(self._peer.notify("initialized") + self._peer.request(method, params, self._opened)),)

    def _opened(self, result: msgspec.Raw, error: RpcError | None) -> Iterable[Item]:
        if error is not None:
            if (session := self._run.session_id) is not None and no_such_session(error.message):
                return self.finish(lost_session(session, error.message))
            return self.finish(failure_from(error.message or "codex did not start a thread"))
        reply = _THREAD.decode(result)
        self._thread, self._model = reply.thread.id, clipped(reply.model, 500) or self._model
        if self._run.session_id is None:
            self._consumption.begin(self._thread)
        params = {"threadId": self._thread, "input": [{"type": "text", "text": self._prompt, "text_elements": []}]}
        begin = Send(self._peer.request("turn/start", params, self._begun))
        return (SessionStarted(session_id=clipped(self._thread, 200), model=self._model), begin)

    def _begun(self, result: msgspec.Raw, error: RpcError | None) -> Iterable[Item]:
        if error is not None:
            return self.finish(failure_from(error.message or "codex did not start a turn"))
        self._turn = _TURN.decode(result).turn.id
        return ()

    # --- Notifications

    def _item_started(self, params: _ItemNotice) -> Iterable[Item]:
        called = self._items.started(params.item)
        self._busy = self._busy or bool(called)
        return called

    def _item_completed(self, params: _ItemNotice) -> Iterable[Item]:
        self._busy = self._busy or type(params.item) not in WORDS
        thread = params.thread_id
        return self._items.completed(params.item, own=thread == self._thread or not thread)

    def _patched(self, params: _Patch) -> Iterable[Item]:
        self._items.changed(params.item_id, params.changes)
        return ()

    def _error_reported(self, params: _ErrorNotice) -> Iterable[Item]:
        words = ": ".join(part for part in (params.error.message, params.error.additional_details) if part)
        return (ErrorReported(message=clipped(words), retrying=params.will_retry),)

    def _warning(self, params: _Warning) -> Iterable[Item]:
        return (ErrorReported(message=clipped(params.message)),)

    def _misconfigured(self, params: _ConfigWarning) -> Iterable[Item]:
        """Report what is wrong in a file of the user; a missing bubblewrap is mentioned at every start."""
        words = ": ".join(part for part in (params.path, params.summary, params.details) if part)
        return (ErrorReported(message=clipped(words)),) if params.path else ()

    def _planned(self, params: _PlanOf) -> Iterable[Item]:
        if params.thread_id != self._thread:
            return ()
        self._busy = True
        steps = (PlanStep(clipped(one.step, 4_000), _STATUS.get(one.status, one.status)) for one in params.plan[:1_000])
        return (PlanUpdated(steps=tuple(steps)),)

    def _resolved(self, params: _Resolved) -> Iterable[Item]:
        return self._permissions.resolved(params.request_id)

    def _rerouted(self, params: _Rerouted) -> Iterable[Item]:
        if params.thread_id != self._thread or not params.to_model:
            return ()
        consumed = self._consumed()
        self._model = clipped(params.to_model, 500)
        return consumed

    def _turn_started(self, params: _TurnOf) -> Iterable[Item]:
        if params.thread_id == self._thread:
            self._turn = params.turn.id
        return ()

    def _turn_completed(self, params: _TurnOf) -> Iterable[Item]:
        if params.thread_id != self._thread or params.turn.status == "inProgress":
            return ()
        error = params.turn.error or _Error()
        match params.turn.status:
            case "completed":
                return self.finish(None)
            case "interrupted":
                return self.finish(Failure(FailureReason.CANCELLED, error.message or "the turn was interrupted"))
        return self.finish(failure_of_turn(error.message, error.additional_details, error.codex_error_info))

    def finish(self, failure: Failure | None) -> list[Item]:
        return [*self._consumed(), *super().finish(failure)] if self.finished is None else []

    # --- Tokens

    def _tokens(self, params: _Used) -> Iterable[Item]:
        answered = self._consumption.take(params.token_usage, params.thread_id, own=params.turn_id == self._turn)
        if answered and params.thread_id == self._thread:
            self._answered()
        return ()

    def _answered(self) -> None:
        """Take in that the model has answered, and that the tools which it called have ended.

        It is asked again only because it called a tool. If codex reported none, it rejected the call: version 0.169
        often informs only the model of what the read-only sandbox or the policy rejects.
        """
        if self._quiet and self._read_only:
            self._unseen = "a call was rejected in the read-only sandbox; codex does not say which"
        self._quiet, self._busy = not self._busy, False

    def _consumed(self) -> tuple[UsageReported, ...]:
        """Return the usage that was not reported yet."""
        used = self._consumption.drain()
        if used == Usage():
            return ()
        return (UsageReported(usage=used, model=self._model, total=self._consumption.total(self._thread)),)

    _NOTIFICATIONS: ClassVar[dict[bytes, _Handler]] = {
        b"item/started": _handler(_ItemNotice, _item_started),
        b"item/completed": _handler(_ItemNotice, _item_completed),
        b"item/fileChange/patchUpdated": _handler(_Patch, _patched),
        b"error": _handler(_ErrorNotice, _error_reported),
        b"warning": _handler(_Warning, _warning),
        b"guardianWarning": _handler(_Warning, _warning),
        b"configWarning": _handler(_ConfigWarning, _misconfigured),
        b"turn/started": _handler(_TurnOf, _turn_started),
        b"turn/completed": _handler(_TurnOf, _turn_completed),
        b"turn/plan/updated": _handler(_PlanOf, _planned),
        b"thread/tokenUsage/updated": _handler(_Used, _tokens),
        b"serverRequest/resolved": _handler(_Resolved, _resolved),
        b"model/rerouted": _handler(_Rerouted, _rerouted),
    }
    """Notifications that become entries, with their decoders and handlers."""
