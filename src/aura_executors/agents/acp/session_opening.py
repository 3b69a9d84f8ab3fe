"""Opening a session in the Agent Client Protocol: everything before the prompt. Pure.

Each request waits for the previous answer: ``initialize``, ``authenticate`` if option auth_method is given, then a new,
resumed or forked session, then its settings, one after the other.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from aura_contracts.entries import SessionStarted
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import json_decoder
from aura_contracts.ports.executors import AgentRun, Send
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped
from aura_executors.adapter.json_lines import Item, lost_session
from aura_executors.adapter.json_rpc import RpcError, RpcPeer
from aura_executors.agents.acp import messages
from aura_executors.agents.acp.command import AcpOptions, model_in_session
from aura_executors.agents.acp.outcome import AUTH_REQUIRED, failure_of_error
from aura_executors.agents.acp.wire import InitializeReply, SessionReply

Then = Callable[[msgspec.Raw, RpcError | None], Iterable[Item]]
Setting = tuple[str, messages.Call]
"""A description of a setting, and the request that sets it."""

_INITIALIZED = json_decoder(InitializeReply)
_SESSION = json_decoder(SessionReply)


class SessionOpening:
    """Opens the session of one run; then `ready` continues the run, or on failure `finish` ends it."""

    def __init__(
        self,
        run: AgentRun,
        options: AcpOptions,
        peer: RpcPeer[Then],
        *,
        ready: Callable[[], Iterable[Item]],
        finish: Callable[[Failure], Iterable[Item]],
    ) -> None:
        self.session_id = ""
        """Empty until there is a session."""
        self.interrupted = False
        """Whether the run was asked to stop; set by the owner."""
        self._run = run
        self._options = options
        self._peer = peer
        self._ready = ready
        self._finish = finish
        self._settings: list[Setting] = []
        peer.request(*messages.initialize(), then=self._initialized)  # the launch already sends this line

    def _initialized(self, result: msgspec.Raw, error: RpcError | None) -> Iterable[Item]:
        if error is not None:
            return self._finish(failure_of_error(error, "it did not start"))
        reply = _INITIALIZED.decode(result)
        if reply.protocol_version != messages.VERSION:
            words = f"it speaks version {reply.protocol_version} of the protocol, and AURA version {messages.VERSION}"
            return self._finish(Failure(FailureReason.AGENT_ERROR, words))

        def authenticated(_: msgspec.Raw, error: RpcError | None) -> Iterable[Item]:
            if error is None:
                return self._begin(reply)
            failure = failure_of_error(error, f"it did not log in by {self._options.auth_method}")
            return self._finish(msgspec.structs.replace(failure, reason=FailureReason.AUTHENTICATION))

        if self._options.auth_method is None:
            return self._begin(reply)
        return (Send(self._peer.request(*messages.authenticate(self._options.auth_method), then=authenticated)),)

    def _begin(self, reply: InitializeReply) -> Iterable[Item]:
        """Request a new session, the session to resume, or a copy of it."""
        session_id, fork = self._run.session_id, self._run.fork
        request = messages.open_session(self._run)
        if session_id is not None and (reply.can.fork if fork else reply.can.resume) is None:
            return self._finish(lost_session(session_id, f"it does not offer {request[0]}"))
        methods = [method.id for method in reply.auth_methods or ()]

        def begun(result: msgspec.Raw, error: RpcError | None) -> Iterable[Item]:
            return self._begun(_SESSION.decode(result)) if error is None else self._refused(error, methods)

        return (Send(self._peer.request(*request, then=begun)),)

    def _refused(self, error: RpcError, methods: list[str]) -> Iterable[Item]:
        failure = failure_of_error(error, "it began no session")
        if error.code == AUTH_REQUIRED and methods:
            remedy = f"log in to it, or give option auth_method: {', '.join(methods)}"
            failure = msgspec.structs.replace(failure, message=clipped(f"{failure.message}; {remedy}", MESSAGE_LIMIT))
        elif self._run.session_id is not None and failure.reason is FailureReason.AGENT_ERROR:
            failure = lost_session(self._run.session_id, failure.message)
        return self._finish(failure)

    def _begun(self, reply: SessionReply) -> Iterable[Item]:
        resumed = None if self._run.fork else self._run.session_id
        self.session_id = reply.session_id or resumed or ""
        if not self.session_id:
            return self._finish(Failure(FailureReason.AGENT_ERROR, "it named no session"))
        model = reply.models.current_model_id if reply.models else None
        chosen = [option.current_value for option in reply.config_options or () if option.category == "model"]
        model = self._options.model or model or next((value for value in chosen if isinstance(value, str)), None)
        started = SessionStarted(session_id=clipped(self.session_id, 500), model=clipped(model or "", 200))
        try:
            self._settings = [*self._wanted(reply)]
        except LookupError as error:
            return (started, *self._finish(Failure(FailureReason.AGENT_ERROR, str(error.args[0]))))
        return (started, *self._next())

    def _wanted(self, reply: SessionReply) -> Iterator[Setting]:
        """Yield the settings to make. Raises `LookupError` for a setting that the agent does not offer."""
        offered = reply.config_options or []
        by_category = {option.category: option.id for option in offered if isinstance(option.category, str)}
        wanted = (
            ("model", model_in_session(self._options), reply.models, messages.set_model),
            ("mode", self._options.mode, reply.modes, messages.set_mode),
        )
        for what, value, choices, request in wanted:
            if value is None:
                continue
            if what in by_category:
                yield f"{what} {value}", messages.set_option(self.session_id, by_category[what], value)
            elif choices is not None:
                yield f"{what} {value}", request(self.session_id, value)
            else:
                raise LookupError(f"option {what}: this agent offers no choice of {what}")
        for name, value in self._options.config.items():
            if name not in (known := [option.id for option in offered]):
                there = ", ".join(known) or "none"
                raise LookupError(
                    clipped(f"option config: this agent has no {name}; there are: {there}", MESSAGE_LIMIT)
                )
            yield f"{name} {value}", messages.set_option(self.session_id, name, value)

    def _next(self) -> Iterable[Item]:
        """Make the next setting; after the last one, send the prompt."""
        if self.interrupted:
            return self._finish(Failure(FailureReason.CANCELLED, "it was stopped before it began"))
        if self._settings:
            what, request = self._settings.pop(0)

            def done(_: msgspec.Raw, error: RpcError | None) -> Iterable[Item]:
                return (
                    self._next() if error is None else self._finish(failure_of_error(error, f"it did not set {what}"))
                )

            return (Send(self._peer.request(*request, then=done)),)
        return self._ready()
