"""Messages of agents in the Agent Client Protocol, as far as AURA needs them: structs for decoding. Pure.

The structs only have the fields in use, and omitted or null fields have defaults, as the protocol requires. Names are
the protocol's (agentclientprotocol.com, schema of version 1). A line is decoded once; only a line with content of an
unknown kind is decoded again, without the content (`lenient`).
"""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class ConfigOption(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A configuration option of a session. `category` is ``mode`` or ``model`` for those that AURA may set."""

    id: str
    category: Any = None
    current_value: Any = None


class _Current(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    current_model_id: str | None = None


class SessionReply(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The settings of a session: the reply to new, resume and fork."""

    session_id: str | None = None
    modes: _Current | None = None
    models: _Current | None = None
    config_options: list[ConfigOption] | None = None


class _SessionCapabilities(msgspec.Struct, frozen=True, gc=False):
    resume: Any = None
    fork: Any = None


class _AgentCapabilities(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    session_capabilities: _SessionCapabilities | None = None


class _AuthMethod(msgspec.Struct, frozen=True, gc=False):
    id: str = ""


class InitializeReply(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What the agent can do."""

    protocol_version: int = 1
    agent_capabilities: _AgentCapabilities | None = None
    auth_methods: list[_AuthMethod] | None = None

    @property
    def can(self) -> _SessionCapabilities:
        """The agent's operations on sessions; those that are None are unsupported."""
        return (self.agent_capabilities and self.agent_capabilities.session_capabilities) or _SessionCapabilities()


class Tokens(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Tokens of a turn. The total shows whether `inputTokens` includes cached ones."""

    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    thought_tokens: int | None = None
    cached_read_tokens: int | None = None
    cached_write_tokens: int | None = None


class _Counted(msgspec.Struct, frozen=True, gc=False):
    input_tokens: int = 0
    output_tokens: int = 0


class ModelUsage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one model, as reported by the Gemini CLI."""

    model: str = ""
    token_count: _Counted = _Counted()


class _Quota(msgspec.Struct, frozen=True, gc=False):
    token_count: _Counted | None = None
    model_usage: list[ModelUsage] | None = None


class _ReplyMeta(msgspec.Struct, frozen=True, gc=False):
    quota: _Quota | None = None


class PromptReply(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """How a turn ended."""

    stop_reason: str
    usage: Tokens | None = None
    meta: _ReplyMeta | None = msgspec.field(default=None, name="_meta")


# --- session/update


class _ChunkMeta(msgspec.Struct, frozen=True, gc=False):
    usage: Tokens | None = None


class _Text(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    text: str | None = None
    uri: str | None = None


class _Update(msgspec.Struct, frozen=True, tag_field="sessionUpdate", gc=False):
    pass


class AgentMessage(_Update, frozen=True, tag="agent_message_chunk", gc=False, rename="camel"):
    content: _Text
    message_id: str | None = None
    meta: _ChunkMeta | None = msgspec.field(default=None, name="_meta")


class AgentThought(_Update, frozen=True, tag="agent_thought_chunk", gc=False, rename="camel"):
    content: _Text
    message_id: str | None = None
    meta: _ChunkMeta | None = msgspec.field(default=None, name="_meta")


class _DiffMeta(msgspec.Struct, frozen=True, gc=False):
    kind: str | None = None


class DiffContent(msgspec.Struct, frozen=True, tag_field="type", tag="diff", gc=False, rename="camel"):
    path: str
    new_text: str = ""
    old_text: str | None = None
    meta: _DiffMeta | None = msgspec.field(default=None, name="_meta")


class WordsContent(msgspec.Struct, frozen=True, tag_field="type", tag="content", gc=False):
    content: _Text


class TerminalContent(msgspec.Struct, frozen=True, tag_field="type", tag="terminal", gc=False):
    pass


CallContent = DiffContent | WordsContent | TerminalContent


class _ToolOfClaude(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    tool_name: str | None = None


class _TerminalExit(msgspec.Struct, frozen=True, gc=False):
    exit_code: int | None = None


class CallMeta(msgspec.Struct, frozen=True, gc=False):
    """Metadata in which some agents put the tool's name and a command's exit."""

    claude_code: _ToolOfClaude | None = msgspec.field(default=None, name="claudeCode")
    tool_name: str | None = msgspec.field(default=None, name="toolName")
    terminal_exit: _TerminalExit | None = None


NO_OUTPUT = msgspec.Raw()


class CallOutput(msgspec.Struct, frozen=True, gc=False):
    """What a tool returned: the keys under which agents put the readable part, and a command's exit code."""

    output: Any = None
    content: Any = None
    stdout: Any = None
    aggregated_output: Any = None
    formatted_output: Any = None
    message: Any = None
    error: Any = None
    text: Any = None
    exit_code: Any = None
    exit_code_of_opencode: Any = msgspec.field(default=None, name="exitCode")
    metadata: Any = None


class Location(msgspec.Struct, frozen=True, gc=False):
    path: str


class CallFields(msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """A tool call or an update of it; None means unchanged."""

    tool_call_id: str
    name: str | None = None
    title: str | None = None
    kind: str | None = None
    status: str | None = None
    raw_input: Any = None
    raw_output: msgspec.Raw = NO_OUTPUT
    content: list[CallContent] | None = None
    locations: list[Location] | None = None
    meta: CallMeta | None = msgspec.field(default=None, name="_meta")


class ToolCallStart(CallFields, frozen=True, tag_field="sessionUpdate", tag="tool_call", gc=False):
    pass


class ToolCallUpdate(CallFields, frozen=True, tag_field="sessionUpdate", tag="tool_call_update", gc=False):
    pass


class _PlanEntry(msgspec.Struct, frozen=True, gc=False):
    content: str
    status: str = "pending"


class Plan(_Update, frozen=True, tag="plan", gc=False):
    entries: list[_PlanEntry]


class _Cost(msgspec.Struct, frozen=True, gc=False):
    amount: float = 0.0
    currency: str = ""


class UsageUpdate(_Update, frozen=True, tag="usage_update", gc=False):
    """How full the context is, which does not count as usage, and the cost of the session so far."""

    cost: _Cost | None = None


class _Commands(_Update, frozen=True, tag="available_commands_update", gc=False):
    pass


class _Mode(_Update, frozen=True, tag="current_mode_update", gc=False):
    pass


class _Configuration(_Update, frozen=True, tag="config_option_update", gc=False):
    pass


class _CodexStatus(msgspec.Struct, frozen=True, gc=False):
    type: str = ""


class CodexError(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    message: str = ""
    additional_details: str | None = None
    codex_error_info: Any = None
    will_retry: bool = False


class Codex(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    thread_status: _CodexStatus | None = None
    error: CodexError | None = None


class _InformationMeta(msgspec.Struct, frozen=True, gc=False):
    codex: Codex | None = None


class Information(_Update, frozen=True, tag="session_info_update", gc=False):
    """The title of the session; codex-acp also reports codex's state and errors here."""

    meta: _InformationMeta | None = msgspec.field(default=None, name="_meta")


class _UserMessage(_Update, frozen=True, tag="user_message_chunk", gc=False):
    pass


Update = (
    AgentMessage
    | AgentThought
    | ToolCallStart
    | ToolCallUpdate
    | Plan
    | UsageUpdate
    | _Commands
    | _Mode
    | _Configuration
    | Information
    | _UserMessage
)


class SessionUpdate(msgspec.Struct, frozen=True, gc=False):
    update: Update


class Updated(msgspec.Struct, frozen=True, gc=False):
    """A line with an update."""

    params: SessionUpdate


# --- session/request_permission


class PermissionOption(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    option_id: str
    kind: str = ""


class PermissionRequest(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    tool_call: CallFields
    options: list[PermissionOption] = []


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A line with a permission request."""

    id: int | str
    method: str
    params: PermissionRequest


class Cancelled(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """``$/cancel_request``: the other side no longer waits for an answer."""

    request_id: int | str


def lenient(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T:
    """Return a decoded line, or its parameters; if decoding fails, without the content of the call.

    Raises `msgspec.MsgspecError` if that fails too.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        value = msgspec.json.decode(data)
        if not isinstance(value, dict):
            raise
    params = value.get("params", value)
    for name in ("update", "toolCall"):
        if isinstance(params, dict) and isinstance(call := params.get(name), dict):
            call.pop("content", None)
    return decoder.decode(msgspec.json.encode(value))
