"""What the commands of agents have in common: options that every adapter has, and how the command is put together.

The same thing has the same name in all of them: `yolo`, `allow_tools`, `deny_tools`, `reasoning_effort`, `add_dirs`,
`append_system_prompt`, `autonomy`, `trust`. An agent's own word is kept where its values are its own, too
(`permission_mode`, `approval_mode`, `approval_policy`, `sandbox`, `mode`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun
from aura_contracts.secrets import require_no_secrets
from aura_executors._options import read_options
from aura_executors.agents._finding import Program

ARGUMENT_LIMIT = 131_071
"""Bytes of one argument on Linux (MAX_ARG_STRLEN: 32 pages, with the NUL at the end)."""


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What every agent can be set to. Options of adapters are structs that inherit from this."""

    model: str | None = None
    """Which model; None: what the agent is configured for."""
    executable: str | None = None
    """Where the agent's program is; None: it is looked for on PATH."""
    base_command: str | None = None
    """Another program, instead of the agent's own: a name or a path, one word. As `executable`, under the old name."""
    params: tuple[str, ...] = ()
    """Arguments added to those that AURA gives."""
    append_prompt: str = ""
    """Put behind every prompt, after an empty line."""
    env: dict[str, str] = {}
    """Added to the environment. Not for secrets, which are refused: the log keeps options."""
    npx: bool = False
    """Run it through ``npx``, in the version that AURA was tested with, if it is not on PATH."""


class ActingOptions(AgentOptions, frozen=True, kw_only=True):
    """What every agent can be set to that changes files and runs commands: whether anybody is asked."""

    yolo: bool = False
    """It may do everything, and asks for nothing."""
    allow_all_tools: bool = False
    """The same as `yolo`."""

    @property
    def free(self) -> bool:
        """Whether it may do everything."""
        return self.yolo or self.allow_all_tools


Options = TypeVar("Options", bound=AgentOptions)

_MAY_BE_EMPTY = frozenset({"params", "append_prompt"})
"""Options in which an empty text means something, or nothing at all."""


def agent_options(name: str, run: AgentRun, kind: type[Options], *, forks: bool = False) -> Options:
    """Return the options of `run` as the struct of the executor `name`; `forks` says whether its agent can.

    Raises `InvalidInput` for options that it does not have, or that no system would take, and for a fork of nothing.
    """
    options = read_options(name, run.options, kind)
    require_clean(options)
    if run.fork and not forks:
        reason = f"{name} cannot go on with a copy of a session"
        raise InvalidInput(field="fork", reason=reason, remedy="resume the session, or begin a new one")
    if run.fork and run.session_id is None:
        raise InvalidInput(field="fork", reason="there is no session to fork", remedy="name the session")
    return options


def prompt_of(run: AgentRun, options: AgentOptions) -> str:
    """Return the whole prompt."""
    return "\n\n".join(part for part in (run.prompt, options.append_prompt) if part)


def prompt_bytes(run: AgentRun, options: AgentOptions) -> bytes:
    """Return the whole prompt as it goes to standard input: a lone surrogate becomes a question mark."""
    return prompt_of(run, options).encode("utf-8", "replace")


def require_argument(prompt: str, agent: str) -> str:
    """Return `prompt` if it can be an argument. Raises `InvalidInput` where no system would take it."""
    size = len(prompt.encode("utf-8", "surrogatepass"))
    if "\0" in prompt or size > ARGUMENT_LIMIT:
        unfit = "holds a NUL character" if "\0" in prompt else f"takes {size} bytes, more than {ARGUMENT_LIMIT}"
        raise InvalidInput(
            field="prompt", reason=f"it {unfit}, and {agent} takes it as an argument", remedy="shorten it"
        )
    return prompt


def require_clean(options: AgentOptions) -> None:
    """Refuse options that no operating system would take, or that no log may keep. Raises `InvalidInput`."""
    require_no_secrets(msgspec.to_builtins(options))
    if options.executable is not None and options.base_command is not None:
        reason = "it says the same as option executable, another way"
        raise InvalidInput(field="option base_command", reason=reason, remedy="give one of them")
    for name in options.env:
        if not name or "=" in name or "\0" in name + options.env[name]:
            reason = f"{name!r} is no name for a variable, or its value holds a NUL character"
            raise InvalidInput(field="option env", reason=reason)
    for field in msgspec.structs.fields(options):
        value = getattr(options, field.name)
        texts = [] if value is None or value == field.default else [*_texts(value)]
        if any("\0" in text for text in texts):
            raise InvalidInput(field=f"option {field.name}", reason="holds a NUL character", remedy="remove it")
        if field.name not in _MAY_BE_EMPTY and not all(map(str.strip, texts)):
            raise InvalidInput(field=f"option {field.name}", reason="is empty", remedy="leave it out")


def _texts(value: Any) -> Iterator[str]:
    """Yield a text, or those in a list; what is in tables is the agent's affair."""
    values = value if isinstance(value, tuple) else (value,)
    return (text for text in values if isinstance(text, str))


def require_one_mind(options: ActingOptions, *names: str) -> None:
    """Refuse `yolo` beside another option that says what is asked for. Raises `InvalidInput`."""
    for name in names:
        if options.free and getattr(options, name):
            switch = "yolo" if options.yolo else "allow_all_tools"
            reason = f"it says what option {name} says too"
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
