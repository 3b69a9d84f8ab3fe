"""The request: the first line that the program reads, made by `command.request_of`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AgentRequest:
    """Fields as `command.LocalOptions` has them, where they have the same name."""

    prompt: str
    endpoint: str
    session_id: str | None
    fork: bool
    new_session_id: str
    model: str | None
    api_key_env: str
    autonomy: str
    """``ask``, ``read-only``, ``edit`` or ``full``."""
    max_turns: int
    max_tokens: int | None
    max_total_tokens: int | None
    context_tokens: int
    temperature: float | None
    append_system_prompt: str
    shell_timeout: float
    output_limit: int
    read_outside: bool
    max_retries: int
    retry_delay: float
    request_timeout: float
    sessions: str | None
