"""Executor `amp`: Sourcegraph's Amp. Its own service runs the model.

    amp [threads continue ID] ... --execute --stream-json --stream-json-thinking

Measured with 0.0.1790142911 without an account: its options, and its messages without a key and without its service.
The output of a run follows its documentation (ampcode.com/manual/appendix, "Stream JSON Output"): it is the format of
Claude Code (`aura_executors.agents.claude.stream`), and is parsed leniently. The prompt goes to standard input.

======================  ================================================================================================
success                 a ``result`` without is_error
failure                 a ``result`` with is_error and its ``error``, or words on standard error
no final word           the stream ends without ``result``: a failure, whatever the exit code is
rate limit              the words of the failure
authentication          the words of the failure. Without a key it begins a login on standard output and waits for a
                        code: that is a failure at once
refused                 stop_reason ``refusal`` of the last message
session lost            it ends without a ``system`` line, and says that there is no such thread
interrupted             not visible: the stream just ends
lack of permission      permission_denials of the ``result``
======================  ================================================================================================

Quirks:

- There is no option for the model; `mode` chooses it.
- input_tokens include the cached ones in the documented streams, so they are subtracted where possible.
- The service stores threads and can read them.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from aura_contracts.entries import Usage
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import json_decoder
from aura_contracts.ports.executors import AgentRun, Capability, Send
from aura_executors.adapter.agent_executor import AgentExecutor, flags
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import Item, lost_session
from aura_executors.adapter.options import ActingOptions
from aura_executors.adapter.program_lookup import Program
from aura_executors.agents.claude.stream import StreamJson, words_of
from aura_executors.agents.claude.wire import Assistant, ResultMessage, Tokens, read

__all__ = ["AmpExecutor", "AmpOptions"]

PROGRAM = Program(
    name="amp",
    tested=("0.0.1790142911",),
    install="npm install -g @sourcegraph/amp@0.0.1790142911",
    package="@sourcegraph/amp@0.0.1790142911",
    variables=("AMP_API_KEY",),
    files=("~/.local/share/amp/secrets.json",),
    log_in="run `amp login`, or set AMP_API_KEY",
)

_NO_KEY = b"No API key found"
_NO_THREAD = re.compile(r"thread\b.{0,200}(?:not found|not exist|invalid|no access)|no such thread", re.IGNORECASE)

_TOOLS = json_decoder(list[str])


# --- The command ------------------------------------------------------------------------------------------------------


class AmpOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `amp`. `model` cannot be chosen."""

    mode: str | None = None
    """The agent: low, medium, high, ultra, or one from a plugin; it also sets the model. None: as configured."""
    yolo: bool = False
    """Allow all tools without asking. Amp's configuration determines when it asks; in a run it gets no answer."""
    settings_file: str | None = None
    """A settings file to use instead of the user's."""


class AmpExecutor(AgentExecutor[AmpOptions]):
    """Runs amp."""

    name = "amp"
    summary = "Sourcegraph's Amp (--execute --stream-json)"
    capability = Capability(resume=True, tool_servers=True, plan=True, protocol=True)

    program = PROGRAM
    reads = ("AGENTS.md",)
    options = AmpOptions

    def arguments(self, run: AgentRun, options: AmpOptions) -> Iterator[str]:
        if options.model is not None:
            remedy = "set option mode: low, medium, high, ultra"
            raise InvalidInput(field="option model", reason="amp chooses the model by itself", remedy=remedy)
        if run.session_id is not None:
            if run.session_id.startswith("-"):
                raise InvalidInput(field="session", reason=f"{run.session_id!r} is not a thread of amp's")
            yield from ("threads", "continue", run.session_id)
        servers = {one.name: {"command": one.command[0], "args": one.command[1:]} for one in run.tool_servers}
        yield from flags(
            {
                "--no-ide": True,
                "--no-notifications": True,
                "--no-color": True,
                "--mode": options.mode,
                "--settings-file": options.settings_file,
                "--dangerously-allow-all": options.free,
                "--mcp-config": msgspec.json.encode(servers).decode() if servers else None,
                "--execute": True,
                "--stream-json": True,
                "--stream-json-thinking": True,
            }
        )

    def converse(self, run: AgentRun) -> "AmpConversation":
        return AmpConversation(run.session_id or "")


# --- Its lines --------------------------------------------------------------------------------------------------------


class AmpConversation(StreamJson):
    """Parses one run of amp. `session_id` is the thread to resume."""

    edits = frozenset()
    plans = frozenset()
    listening = False

    def __init__(self, session_id: str = "") -> None:
        super().__init__()
        self._asked = session_id
        self._stopped = ""
        """Why the last message of the model stopped."""

    def understand(self, line: bytes) -> Iterable[Item] | None:
        if line.startswith(_NO_KEY):
            failure = Failure(FailureReason.AUTHENTICATION, "it has no API key and asks for a login")
            return self.finish(failure)
        if self.finished and not line.startswith(b"{"):
            return ()  # such as the address for a login
        return super().understand(line)

    def interrupt(self) -> Iterable[Send]:
        """Return nothing: only signals stop it."""
        self.interrupting = True
        return ()

    def special(self, line: Assistant) -> Iterable[Item] | None:
        self._stopped = line.message.stop_reason or ""
        return None

    def failure_in(self, result: ResultMessage) -> Failure | None:
        if denied := read(_TOOLS, result.permission_denials):
            self.blocked = clipped(f"it was not permitted to use {', '.join(denied)}", 500)
        words = result.error if isinstance(result.error, str) else words_of(result)
        if result.is_error or result.subtype != "success":
            return self.lost(words) or failure_from(words or str(result.subtype or "it failed"))
        if self._stopped == "refusal":
            return Failure(FailureReason.REFUSED, clipped(words or "it refused", MESSAGE_LIMIT))
        return None

    def lost(self, words: str) -> Failure | None:
        lost = self._asked and not self.session_id and _NO_THREAD.search(words)
        return lost_session(self._asked, words) if lost else None

    def usage_in(self, result: ResultMessage) -> Iterable[Item]:
        return self.spent()

    def usage_of(self, tokens: Tokens) -> Usage:
        """Return the tokens without cache reads and writes, which amp includes in the input."""
        read, written = tokens.cache_read_input_tokens or 0, tokens.cache_creation_input_tokens or 0
        given = tokens.input_tokens or 0
        return Usage(
            input_tokens=given - read - written if given >= read + written else given,
            output_tokens=tokens.output_tokens or 0,
            cache_read_tokens=read,
            cache_write_tokens=written,
        )
