"""What is run: options, the request that the program gets, and its command. Pure."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, Launch
from aura_executors import isolated
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.options import VARIABLE, ActingOptions, PositiveCount, Silencing, require_clean
from aura_executors.adapter.service_url import ENDPOINT_VARIABLE, endpoint_url

_PROGRAM = "aura_executors.agents.local.program.main"

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class Autonomy(StrEnum):
    """What the agent does without asking."""

    READ_ONLY = "read-only"
    """Reading, and nothing else; it never asks."""
    ASK = "ask"
    """Reading; it asks before each edit and each command."""
    EDIT = "edit"
    """Reading and editing; it asks before each command."""
    FULL = "full"
    """Everything."""


class LocalOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `local`."""

    silencing: ClassVar[Silencing] = {**ActingOptions.silencing, "autonomy": (Autonomy.READ_ONLY, Autonomy.FULL)}
    endpoint: str | None = None
    """The base URL of a server with OpenAI's chat completions, such as ``http://127.0.0.1:11434/v1``.

    One without a path gets ``/v1``. None: `openai_endpoint`, else what the variable ``OPENAI_BASE_URL`` says.
    """
    openai_endpoint: str | None = None
    """The same as `endpoint`, by the command line's name for it."""
    model: str | None = None
    """None: the one that the server offers, if it offers just one."""
    api_key_env: str = "OPENAI_API_KEY"
    """The variable with the key, which is sent if set. Commands that the agent runs do not see it."""
    autonomy: Autonomy | None = None
    """None: ``ask``."""
    yolo: bool = False
    """It may do everything without asking: autonomy ``full``."""
    allow_all_tools: bool = False
    """The same as `yolo`."""
    append_prompt: str = ""
    """Appended to every prompt, after an empty line."""
    append_system_prompt: str = ""
    """Appended to the instructions that every request begins with."""
    max_turns: PositiveCount = 50
    """Answers of the model in one run."""
    max_tokens: PositiveCount | None = None
    """Tokens of one answer; None: the server's default."""
    max_total_tokens: PositiveCount | None = None
    """Tokens of one run, in and out, as far as the server reports them; None: no limit."""
    context_tokens: Annotated[int, msgspec.Meta(ge=1_000)] = 32_000
    """Tokens of the conversation that are sent, roughly estimated; older messages are left out beyond them."""
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    shell_timeout: _Seconds = 300.0
    """Seconds that one command may take."""
    output_limit: Annotated[int, msgspec.Meta(ge=200)] = 30_000
    """Characters of a tool's result that the model is given."""
    read_outside: bool = False
    """Let it read files outside its working folder. Commands can anyway."""
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=20)] = 4
    """How often a request is retried after a failure that may pass."""
    retry_delay: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0
    """Seconds before the first retry; doubled each time."""
    request_timeout: _Seconds = 600.0
    """Seconds that the server may be silent; a local model reads a long prompt slowly."""
    sessions: str | None = None
    """The folder where conversations are kept; None: ``local-sessions`` in AURA_STATE, or the user's state folder."""
    env: dict[str, str] = {}
    """Added to the environment. Secrets are refused: options are stored in the log."""


def launch_of(run: AgentRun) -> Launch:
    """Return how the program is started for `run`. Raises `InvalidInput`."""
    options = read_options("local", run.options, LocalOptions)
    _require_clean(options)
    autonomy = autonomy_of(options)
    request = request_of(run, options, autonomy)
    return Launch(
        argv=(sys.executable, "-I", "-S", "-X", "utf8", isolated.__file__, _PROGRAM),
        env=dict(options.env),
        stdin=msgspec.json.encode(request) + b"\n",
        interactive=autonomy in {Autonomy.ASK, Autonomy.EDIT},
    )


def request_of(run: AgentRun, options: LocalOptions, autonomy: Autonomy) -> dict[str, object]:
    """Return the fields of `program.request.AgentRequest`."""
    parts = [part.encode("utf-8", "replace").decode() for part in (run.prompt, options.append_prompt) if part]
    same = (
        *("model", "api_key_env", "max_turns", "max_tokens", "max_total_tokens", "context_tokens", "temperature"),
        *("append_system_prompt", "shell_timeout", "output_limit", "read_outside", "max_retries", "retry_delay"),
        *("request_timeout", "sessions"),
    )
    return {
        **{name: getattr(options, name) for name in same},
        "prompt": "\n\n".join(parts),
        "endpoint": endpoint_of(options, run),
        "session_id": run.session_id,
        "fork": run.fork,
        "new_session_id": run.new_session_id,
        "autonomy": autonomy.value,
    }


def endpoint_of(options: LocalOptions, run: AgentRun) -> str:
    """Return the endpoint's URL. Raises `InvalidInput` if it is missing or malformed."""
    if None not in {options.endpoint, options.openai_endpoint} and options.endpoint != options.openai_endpoint:
        reason = "it says something else than option endpoint"
        raise InvalidInput(field="option openai_endpoint", reason=reason, remedy="give one of them")
    variable = options.env.get(ENDPOINT_VARIABLE) or run.environment.get(ENDPOINT_VARIABLE)
    url = options.endpoint or options.openai_endpoint or variable
    if not url:
        remedy = "give option endpoint (--openai-endpoint URL), such as http://127.0.0.1:11434/v1"
        raise InvalidInput(field="option endpoint", reason="executor local requires it", remedy=remedy)
    return endpoint_url(url, "endpoint")


def autonomy_of(options: LocalOptions) -> Autonomy:
    """Return what it does without asking. Raises `InvalidInput` for options that contradict one another."""
    everything = options.yolo or options.allow_all_tools
    if everything and options.autonomy not in {None, Autonomy.FULL}:
        switch = "yolo" if options.yolo else "allow_all_tools"
        reason = f"it contradicts autonomy {options.autonomy}"
        raise InvalidInput(field=f"option {switch}", reason=reason, remedy="give one of them")
    return Autonomy.FULL if everything else options.autonomy or Autonomy.ASK


def _require_clean(options: LocalOptions) -> None:
    require_clean(options)
    if not VARIABLE.fullmatch(options.api_key_env):
        remedy = "name the variable that holds the key; not the key itself: options are stored in the log"
        raise InvalidInput(field="option api_key_env", reason="is not the name of a variable", remedy=remedy)
    if options.sessions is not None and not Path(options.sessions).is_absolute():
        raise InvalidInput(field="option sessions", reason="is not an absolute path")
