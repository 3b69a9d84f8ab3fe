"""A run in the Agent Client Protocol: JSON-RPC over lines. Pure.

AURA                                    agent
initialize                       ->                              these four: `session_opening`
                                 <-     (reply: its capabilities)
authenticate                     ->                              if option auth_method is given
session/new                      ->                              or session/resume, session/fork
                                 <-     (reply: session, modes, models, options)
session/set_config_option, ...   ->                              if options ask for it, one after the other
session/prompt                   ->
                                 <-     session/update           (many)
                                 <-     session/request_permission
(reply with the chosen option)   ->
                                 <-     (reply to the prompt: why it stopped)
(standard input is closed)
"""

from collections.abc import Iterable, Iterator

import msgspec

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    Message,
    PlanStep,
    PlanUpdated,
    Thinking,
    Usage,
    UsageReported,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import json_decoder
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Send
from aura_contracts.ports.processes import ProcessExit
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, Pieces, clipped
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import NOT_UNDERSTOOD, UNFINISHED, Item, ReportedTurn
from aura_executors.adapter.json_rpc import INVALID_PARAMS, RpcError, RpcNotification, RpcPeer, RpcReply, RpcRequest
from aura_executors.adapter.options import LEAD, prompt_of, without_command
from aura_executors.agents.acp import messages
from aura_executors.agents.acp.command import AcpOptions, preset_of
from aura_executors.agents.acp.outcome import (
    Counts,
    counts_of,
    failure_of_error,
    failure_of_turn,
    is_own_error,
    tokens,
)
from aura_executors.agents.acp.permissions import ASKING, HEAD, METHOD, Permissions, asked_in
from aura_executors.agents.acp.session_opening import SessionOpening, Then
from aura_executors.agents.acp.tool_calls import Calls
from aura_executors.agents.acp.wire import (
    AgentMessage,
    AgentThought,
    Cancelled,
    Codex,
    Information,
    PermissionRequest,
    Plan,
    PromptReply,
    SessionUpdate,
    ToolCallStart,
    ToolCallUpdate,
    Update,
    Updated,
    UsageUpdate,
    lenient,
)
from aura_executors.agents.codex.failures import failure_of_turn as failure_of_codex

PLAN_LIMIT = 500
"""Steps of a plan."""

CUT_OFF_LIMIT = 20
"""Messages in a row with nothing else between them, after which the model's service is taken to cut off each answer.

opencode asks for such an answer again, without limit and many times a second; `aura_executors.agents.opencode` has the
same limit.
"""

_UPDATE = json_decoder(Updated)
_UPDATE_PARAMS = json_decoder(SessionUpdate)
_PERMISSION = json_decoder(PermissionRequest)
_CANCELLED = json_decoder(Cancelled)
_PROMPTED = json_decoder(PromptReply)

_BEGINNING = b'{"jsonrpc":"2.0","method":"session/update","params":'
"""The usual beginning of a line; other lines take longer to parse."""

_OPENING = _BEGINNING + b'{"sessionId":%b,"update":{"sessionUpdate":"'
_SKIPPED = (b'available_commands_update"', b'config_option_update"', b'current_mode_update"', b'user_message_chunk"')
"""Updates that are irrelevant to the turn, skipped without decoding."""


class AcpConversation(ReportedTurn):
    """One run of an agent."""

    listening = True

    def __init__(self, run: AgentRun, options: AcpOptions) -> None:
        super().__init__()
        self._run = run
        self._options = options
        self._counts_all = preset_of(options).counts_all
        self._peer = RpcPeer[Then]()
        self._opening = SessionOpening(run, options, self._peer, ready=self._ready, finish=self.finish)
        self._calls = Calls()
        self._permissions = Permissions(self._peer, self._calls, free=options.free)
        self._skipped: tuple[bytes, ...] = ()
        """Beginnings of lines to skip."""
        self._prompted = False
        self._speaker: type[Message | Thinking] = Message
        self._message_id: str | None = None
        self._messages = 0
        """Number of messages, as the agent numbers them, since it did anything else."""
        self._words = Pieces()
        self._last_words = ""
        self._last_error: Failure | None = None
        self._failing = False
        self._counted: Counts = (0, 0, 0, 0)
        self._cost = self._cost_told = 0.0

    @property
    def blocked(self) -> str:  # type: ignore[override]  # an attribute in the port
        """What the agent was not permitted to do."""
        return self._permissions.blocked or self._calls.blocked

    def receive(self, source: OutputSource, data: bytes) -> Iterable[Item]:
        items = super().receive(source, data)
        if self._permissions.late:  # last, so that the others keep their order
            items, self._permissions.late = [*items, *self._permissions.late], []
        return items

    def understand(self, line: bytes) -> Iterable[Item] | None:
        if not line.startswith(_BEGINNING):
            return self._take_other(line)
        if not self._prompted or self.finished is not None:
            return ()
        if line.startswith(self._skipped) and line.endswith(b"}}}"):
            return ()
        try:
            update = _UPDATE.decode(line).params.update
        except msgspec.ValidationError:
            update = lenient(_UPDATE, line).params.update
        return self._add_piece(update) if type(update) is AgentMessage else self._take_update(update)

    def _take_other(self, line: bytes) -> Iterable[Item] | None:
        """Process a line that does not begin like an update."""
        if line.find(ASKING, 0, HEAD) > 0 and (asked := asked_in(line)) is not None:
            if self.finished is not None:
                return ()
            items = self._permissions.asked(asked.id, asked.params)
            return [*self._flush(), *items] if self._words.kept else items
        message = self._peer.read(line)
        if message is None or self.finished is not None:
            return None if message is None else ()
        if isinstance(message, RpcRequest):
            return [*self._asked(message)]
        return self._notified(message) if isinstance(message, RpcNotification) else self._replied(message)

    def end(self, exit: ProcessExit) -> list[Entry]:
        """Add the usage of a turn that did not end: what is known of it."""
        items = [*super().end(exit), *self._flush()]
        if self.finished is not None or not (self._last_words or self._calls.any):
            return items
        return [*items, *(msgspec.structs.replace(one, complete=False) for one in self._known_usage())]

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        return self._permissions.answer(request_id, answer)

    def interrupt(self) -> Iterable[Send]:
        self._opening.interrupted = True
        if self.finished or not self._prompted:
            return ()
        method, params = messages.cancel(self._opening.session_id)
        return (Send(self._peer.notify(method, params) + self._permissions.cancel()),)

    def unfinished(self, exit: ProcessExit) -> Failure | None:
        words = self.errors.text
        if exit.signal is None and words:
            return failure_from(words)
        return Failure(FailureReason.AGENT_ERROR, UNFINISHED) if exit.signal is None else super().unfinished(exit)

    # --- Requests of ours

    def _replied(self, reply: RpcReply[Then]) -> Iterable[Item] | None:
        """Continue after a reply. A reply that cannot be parsed ends the run, which would otherwise wait forever."""
        if reply.then is None:
            words = reply.error and reply.error.message
            return (ErrorReported(message=clipped(words, MESSAGE_LIMIT)),) if words else None
        try:
            return [*reply.then(reply.result, reply.error)]
        except NOT_UNDERSTOOD as error:
            return self.finish(Failure(FailureReason.AGENT_ERROR, f"its reply cannot be understood: {error}"))

    def _ready(self) -> Iterable[Item]:
        """Send the prompt once the session is open."""
        opening = _OPENING % msgspec.json.encode(self._opening.session_id)
        self._skipped = tuple(opening + kind for kind in _SKIPPED)
        self._prompted = True
        self._cost_told = self._cost
        text = without_command(prompt_of(self._run, self._options), LEAD)
        return (Send(self._peer.request(*messages.prompt(self._opening.session_id, text), then=self._ended)),)

    # --- The turn

    def _notified(self, message: RpcNotification) -> Iterable[Item] | None:
        match message.method:
            case "session/update":
                return self._take_update(lenient(_UPDATE_PARAMS, message.params).update) if self._prompted else ()
            case "$/cancel_request":
                return [*self._permissions.withdraw(_CANCELLED.decode(message.params).request_id)]
            case method:
                return () if method.startswith("_") else None

    def _take_update(self, update: Update) -> Iterable[Item]:
        if type(update) is AgentThought or type(update) is AgentMessage:
            return self._add_piece(update)
        self._messages = 0
        if type(update) is ToolCallUpdate or type(update) is ToolCallStart:
            return [*self._flush(), *self._calls.take(update)] if self._words.kept else self._calls.take(update)
        if type(update) is UsageUpdate:
            if (cost := update.cost) is not None and cost.currency == "USD":
                self._cost = cost.amount
            return self._flush()
        if type(update) is Plan:
            steps = (PlanStep(text=clipped(one.content), status=one.status) for one in update.entries[:PLAN_LIMIT])
            return [*self._flush(), PlanUpdated(steps=tuple(steps))]
        if type(update) is Information and update.meta is not None and update.meta.codex is not None:
            return self._take_codex_state(update.meta.codex)
        return ()

    def _take_codex_state(self, reported: Codex) -> Iterable[Item]:
        """Process an extension of codex-acp: errors, and whether codex is in an error state."""
        if reported.error is not None:
            self._last_error = failure_of_codex(
                reported.error.message, reported.error.additional_details, reported.error.codex_error_info
            )
            words = self._last_error.message
            return [*self._flush(), ErrorReported(message=words, retrying=reported.error.will_retry)]
        if reported.thread_status is not None:
            self._failing = reported.thread_status.type == "systemError"
        return ()

    def _asked(self, request: RpcRequest) -> Iterator[Item]:
        """Process a request of the agent; requests for anything not offered are refused, so that it does not wait."""
        if request.method != METHOD:
            yield Send(self._peer.refuse(request.id, f"this client does not offer {clipped(request.method, 200)}"))
            return
        try:
            asked = lenient(_PERMISSION, request.params)
        except msgspec.MsgspecError as error:
            yield ErrorReported(message=f"its permission request cannot be understood: {error}")
            yield Send(self._peer.refuse(request.id, str(error), INVALID_PARAMS))
            return
        yield from self._flush()
        yield from self._permissions.asked(request.id, asked)

    def _ended(self, result: msgspec.Raw, error: RpcError | None) -> Iterable[Item]:
        items: list[Item] = [*self._flush(), *self._calls.rest(), *self._permissions.withdraw()]
        if error is not None:
            return [*items, *self._consumed([]), *self.finish(failure_of_error(error))]
        reply = _PROMPTED.decode(result)
        worked = self._calls.any or any(self._counted)
        failure = failure_of_turn(reply, self._last_words, worked=worked)
        if reply.stop_reason == "cancelled" and self._permissions.blocked and not self._opening.interrupted:
            failure = Failure(FailureReason.PERMISSION_DENIED, f"it stopped, because {self._permissions.blocked}")
        if failure is None and self._failing:
            failure = failure_from(self._last_words)
            if self._last_error is not None:
                failure = msgspec.structs.replace(self._last_error, message=failure.message or self._last_error.message)
        return [*items, *self._consumed(tokens(reply)), *self.finish(failure)]

    def _consumed(self, reported: list[UsageReported]) -> list[UsageReported]:
        """Return the usage of the turn; its cost is the session's cost minus the cost before."""
        reported = reported or ([UsageReported(usage=Usage(*self._counted))] if any(self._counted) else [])
        if not self._counts_all and self._calls.any:
            reported = [msgspec.structs.replace(one, complete=False) for one in reported]
        cost = self._cost - self._cost_told
        if cost > 0:
            first = reported[0] if reported else UsageReported(usage=Usage())
            reported = [
                msgspec.structs.replace(first, usage=msgspec.structs.replace(first.usage, cost=cost)),
                *reported[1:],
            ]
        return reported

    def _known_usage(self) -> list[UsageReported]:
        return self._consumed([]) or [UsageReported(usage=Usage())]

    # --- Words: pieces until something else happens

    def _add_piece(self, piece: AgentMessage | AgentThought) -> Iterable[Item]:
        if piece.meta is not None and piece.meta.usage is not None:
            first, second, third, fourth = self._counted
            more = counts_of(piece.meta.usage)
            self._counted = (first + more[0], second + more[1], third + more[2], fourth + more[3])
        content = piece.content
        text = f"[{content.type} {content.uri or ''}]" if content.text is None else content.text
        if not text:
            return ()
        speaker = Message if type(piece) is AgentMessage else Thinking
        another = piece.message_id != self._message_id
        same = speaker is self._speaker and not another and not is_own_error(text)
        items = () if same else self._flush()
        self._speaker, self._message_id = speaker, piece.message_id
        self._words.add(text)
        if another and piece.message_id is not None:
            self._messages += 1
            if self._messages > CUT_OFF_LIMIT:
                return [*items, *self._give_up()]
        return items

    def _give_up(self) -> Iterable[Item]:
        """End a turn that would never end."""
        words = f"the model's answer broke off {CUT_OFF_LIMIT} times in a row"
        cancel = Send(self._peer.notify(*messages.cancel(self._opening.session_id)))
        return [*self._flush(), cancel, *self.finish(Failure(FailureReason.AGENT_ERROR, words))]

    def _flush(self) -> tuple[Entry, ...]:
        if not self._words.kept or not (text := self._words.take()):
            return ()
        if self._speaker is Message:
            self._last_words = text
        return (self._speaker(text=text),)
