"""Lines of Claude Code's ``--output-format stream-json``: one JSON object each. Pure.

Only the fields in use are declared; the rest of a line is skipped without being built. Fields that may be missing or
differ between versions are kept raw, so that a detail does not invalidate an important line. Structs are frozen and
without cycles, so the garbage collector can ignore them (``gc=False``).
"""

from collections.abc import Callable
from typing import Any, TypeVar, Union

import msgspec

from aura_contracts.first_use import json_decoder

T = TypeVar("T")

_NOTHING = msgspec.Raw()


class Part(msgspec.Struct, frozen=True, gc=False):
    """A part of a tool's result."""

    type: str = ""
    text: str = ""


class Block(msgspec.Struct, frozen=True, gc=False):
    """A part of a message: text, thought, tool call or tool result, by `type`."""

    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    tool_use_id: str = ""
    content: str | list[Part] | Part | None = None
    is_error: bool | None = None


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """Tokens as the service counts them; `input_tokens` excludes cache reads and writes."""

    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cache_read_input_tokens: int | None = 0
    cache_creation_input_tokens: int | None = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            (self.input_tokens or 0) + (other.input_tokens or 0),
            (self.output_tokens or 0) + (other.output_tokens or 0),
            (self.cache_read_input_tokens or 0) + (other.cache_read_input_tokens or 0),
            (self.cache_creation_input_tokens or 0) + (other.cache_creation_input_tokens or 0),
        )


class ModelUsage(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The usage of one model."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cost: float = msgspec.field(default=0.0, name="costUSD")


class Told(msgspec.Struct, frozen=True, gc=False):
    """One or more blocks of a message; lines with the same `id` belong together."""

    content: str | list[Block] = ""
    id: str = ""
    model: str | None = ""
    stop_reason: str | None = None
    usage: Tokens | None = None


class Line(msgspec.Struct, frozen=True, tag_field="type", gc=False):
    """Base of all lines."""


class Assistant(Line, frozen=True, tag="assistant", gc=False):
    message: Told
    error: str | None = None
    """Set if the message is not the model's, but reports how the service refused or failed."""


class User(Line, frozen=True, tag="user", gc=False):
    message: Told
    tool_use_result: msgspec.Raw = _NOTHING
    """The result for programs; the message has the result for the model."""


class System(Line, frozen=True, tag="system", gc=False):
    """A message about the agent itself; ``init`` at the beginning of each turn."""

    subtype: str = ""
    session_id: Any = ""
    model: Any = ""
    capabilities: Any = ()


class ResultMessage(Line, frozen=True, tag="result", gc=False):
    """The end of a turn."""

    subtype: Any = ""
    is_error: Any = False
    result: Any = None
    error: Any = None
    errors: Any = None
    api_error_status: Any = None
    stop_reason: Any = None
    terminal_reason: Any = None
    total_cost_usd: Any = 0.0
    queued_turn_count: Any = 0
    """Set for turns that start by themselves, because a background task is done; in versions after 2.1.197."""
    usage: msgspec.Raw = _NOTHING
    model_usage: msgspec.Raw = msgspec.field(default=_NOTHING, name="modelUsage")
    model_usage_since_last_result: msgspec.Raw = _NOTHING
    permission_denials: msgspec.Raw = _NOTHING


class CanUseTool(msgspec.Struct, frozen=True, gc=False):
    """``can_use_tool`` and other requests, by `subtype`."""

    subtype: Any = ""
    tool_name: Any = ""
    input: msgspec.Raw = _NOTHING
    tool_use_id: Any = None


class ControlRequest(Line, frozen=True, tag="control_request", gc=False):
    request_id: str
    request: CanUseTool = CanUseTool()


class ControlCancel(Line, frozen=True, tag="control_cancel_request", gc=False):
    request_id: str


class CommandLifecycle(Line, frozen=True, tag="command_lifecycle", gc=False):
    """What became of a message that came with a UUID: ``queued``, ``started``, ``completed``; after 2.1.197."""

    command_uuid: Any = ""
    state: Any = ""


class RateLimit(Line, frozen=True, tag="rate_limit_event", gc=False):
    rate_limit_info: msgspec.Raw = _NOTHING


_SKIPPED = (
    *("control_response", "stream_event", "tool_progress", "tool_use_summary", "prompt_suggestion", "auth_status"),
    "keep_alive",
)
"""Lines that say nothing new: a result says what became of a request, messages also arrive as a whole."""


class Retry(msgspec.Struct, frozen=True, gc=False):
    """``system/api_retry``."""

    attempt: int = 0
    max_retries: int = 0
    error_status: int | None = None
    error: str | None = None


class BackgroundTask(msgspec.Struct, frozen=True, gc=False):
    task_type: str = ""


class BackgroundTasks(msgspec.Struct, frozen=True, gc=False):
    """``system/background_tasks_changed``, in versions after 2.1.197: all running background tasks."""

    tasks: list[BackgroundTask] = []


class Denial(msgspec.Struct, frozen=True, gc=False):
    """A call that was not permitted."""

    tool_name: str = ""
    tool_input: dict[str, Any] = {}


class RateLimitInfo(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    status: str = ""
    rate_limit_type: str = ""


class Hunk(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A hunk of a unified diff; its `lines` begin with a space, ``+`` or ``-``."""

    old_start: int = 0
    old_lines: int = 0
    new_start: int = 0
    new_lines: int = 0
    lines: list[str] = []


class Edited(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The result of Write and Edit."""

    type: str = ""
    file_path: str = ""
    structured_patch: list[Hunk] = []


_skipped = (msgspec.defstruct(tag, (), bases=(Line,), tag=tag, frozen=True, gc=False) for tag in _SKIPPED)
_lines = (Assistant, User, System, ResultMessage, ControlRequest, ControlCancel, CommandLifecycle, RateLimit, *_skipped)
read_line: Callable[[bytes], Line] = json_decoder(Union[_lines]).decode  # noqa: UP007 - a list
RETRY = json_decoder(Retry)
BACKGROUND_TASKS = json_decoder(BackgroundTasks)
ARGUMENTS = json_decoder(dict[str, Any])
TOKENS = json_decoder(Tokens)
MODEL_USAGES = json_decoder(dict[str, ModelUsage])
DENIALS = json_decoder(list[Denial])
RATE_LIMIT = json_decoder(RateLimitInfo)
EDITED = json_decoder(Edited)


def read(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw) -> T | None:
    """Return a decoded part of a line, or None if it is missing or malformed."""
    if raw is _NOTHING:
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
