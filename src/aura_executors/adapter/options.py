"""Options that every adapter has, and how the command of an agent is put together.

The same thing has the same name in all of them: `yolo`, `allow_tools`, `deny_tools`, `reasoning_effort`, `add_dirs`,
`append_system_prompt`, `autonomy`, `trust`. An agent's own word is kept where its values are its own, too
(`permission_mode`, `approval_mode`, `approval_policy`, `sandbox`, `mode`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun
from aura_contracts.ports.processes import ARGUMENT_LIMIT
from aura_contracts.secrets import require_no_secrets
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.program_lookup import Program


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of every agent. Options of adapters are structs that inherit from this."""

    model: str | None = None
    """The model; None: the agent's configured one."""
    executable: str | None = None
    """The agent's program; None: it is looked up on PATH."""
    base_command: str | None = None
    """Another program instead of the agent's own: a name or a path, one word. The same as `executable`."""
    params: tuple[str, ...] = ()
    """Arguments added after AURA's own."""
    append_prompt: str = ""
    """Appended to every prompt, after an empty line."""
    env: dict[str, str] = {}
    """Added to the environment. Secrets are refused: options are stored in the log."""
    npx: bool = False
    """If it is not on PATH, run it through ``npx``, in the version that AURA was tested with."""


class ActingOptions(AgentOptions, frozen=True, kw_only=True):
    """Options of agents that change files and run commands: whether they ask first."""

    yolo: bool = False
    """It may do everything without asking."""
    allow_all_tools: bool = False
    """The same as `yolo`."""

    @property
    def free(self) -> bool:
        """Whether it may do everything."""
        return self.yolo or self.allow_all_tools


Options = TypeVar("Options", bound=AgentOptions)

_MAY_BE_EMPTY = frozenset({"params", "append_prompt"})
"""Options that may be empty."""


def agent_options(name: str, run: AgentRun, kind: type[Options], *, forks: bool = False) -> Options:
    """Return the options of `run` as the struct of the executor `name`; `forks` says whether its agent can.

    Raises `InvalidInput` for options that it does not have, or that no system would take, and for a fork of nothing.
    """
    options = read_options(name, run.options, kind)
    require_clean(options)
    if run.fork and not forks:
        reason = f"{name} cannot fork a session"
        raise InvalidInput(field="fork", reason=reason, remedy="resume the session, or begin a new one")
    if run.fork and run.session_id is None:
        raise InvalidInput(field="fork", reason="no session to fork was named", remedy="name the session")
    return options


def prompt_of(run: AgentRun, options: AgentOptions) -> str:
    """Return the whole prompt."""
    return "\n\n".join(part for part in (run.prompt, options.append_prompt) if part)


def prompt_bytes(run: AgentRun, options: AgentOptions) -> bytes:
    """Return the whole prompt as it goes to standard input: a lone surrogate becomes a question mark."""
    return prompt_of(run, options).encode("utf-8", "replace")


def require_argument(prompt: str, agent: str) -> str:
    """Return `prompt` if it can be an argument. Raises `InvalidInput` if no system accepts it."""
    size = len(prompt.encode("utf-8", "surrogatepass"))
    if "\0" in prompt or size > ARGUMENT_LIMIT:
        unfit = "contains a NUL character" if "\0" in prompt else f"takes {size} bytes, more than {ARGUMENT_LIMIT}"
        raise InvalidInput(
            field="prompt", reason=f"it {unfit}, and {agent} takes it as an argument", remedy="shorten it"
        )
    return prompt


def require_clean(options: AgentOptions) -> None:
    """Refuse options that no operating system accepts or that must not be stored. Raises `InvalidInput`."""
    require_no_secrets(msgspec.to_builtins(options))
    if options.executable is not None and options.base_command is not None:
        reason = "it is the same as option executable"
        raise InvalidInput(field="option base_command", reason=reason, remedy="give one of them")
    for name in options.env:
        if not name or "=" in name or "\0" in name + options.env[name]:
            reason = f"{name!r} is not the name of a variable, or its value contains a NUL character"
            raise InvalidInput(field="option env", reason=reason)
    for field in msgspec.structs.fields(options):
        value = getattr(options, field.name)
        texts = [] if value is None or value == field.default else [*_texts(value)]
        if any("\0" in text for text in texts):
            raise InvalidInput(field=f"option {field.name}", reason="contains a NUL character", remedy="remove it")
        if field.name not in _MAY_BE_EMPTY and not all(map(str.strip, texts)):
            raise InvalidInput(field=f"option {field.name}", reason="is empty", remedy="leave it out")


def _texts(value: Any) -> Iterator[str]:
    """Yield a text, or those in a list; what is in tables is the agent's affair."""
    values = value if isinstance(value, tuple) else (value,)
    return (text for text in values if isinstance(text, str))


def require_consistent_options(options: ActingOptions, *names: str) -> None:
    """Refuse `yolo` together with another option that says what to ask for. Raises `InvalidInput`."""
    for name in names:
        if options.free and getattr(options, name):
            switch = "yolo" if options.yolo else "allow_all_tools"
            reason = f"it conflicts with option {name}"
            raise InvalidInput(field=f"option {switch}", reason=reason, remedy="give one of them")


def program_of(program: Program, options: AgentOptions, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that start the agent: what the options name, the program, or ``npx`` with a pinned package.

    `environment` is that of the agent: its PATH counts. Raises `InvalidInput` for ``npx`` where there is no package. A
    program that is nowhere is started all the same, by its name, and fails with `ExecutableNotFound`.
    """
    if named := options.executable or options.base_command:
        return (named,)
    if options.npx and program.package is None:
        reason = f"{program.name} is not distributed through npm"
        raise InvalidInput(field="option npx", reason=reason, remedy=program.install)
    found = program.locate(environment)
    if found is None and options.npx and program.package is not None:
        return ("npx", "--yes", f"--package={program.package}", "--", program.name)
    return (found or program.name,)


def with_params(arguments: Sequence[str], options: AgentOptions) -> tuple[str, ...]:
    """Return AURA's arguments and those of the user behind them."""
    return (*arguments, *options.params)
