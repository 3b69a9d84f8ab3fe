"""Options: those of every adapter, and the parts of an agent's command line.

Options with the same meaning have the same name in all adapters: `yolo`, `allow_tools`, `deny_tools`,
`reasoning_effort`, `add_dirs`, `append_system_prompt`, `autonomy`, `trust`. An option keeps the agent's own name if its
values are also the agent's own (`permission_mode`, `approval_mode`, `approval_policy`, `sandbox`, `mode`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeVar

import msgspec

from aura_contracts.errors import InvalidInput, SessionElsewhere
from aura_contracts.ports.executors import AgentRun
from aura_contracts.secrets import require_no_secrets
from aura_executors.adapter.option_reader import read_options

if TYPE_CHECKING:
    from aura_executors.adapter.program_lookup import Program

Silencing = Mapping[str, tuple[object, ...]]
PositiveCount = Annotated[int, msgspec.Meta(ge=1)]


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of every agent. Each adapter's options are a struct that inherits from this."""

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
    """If the agent is not on PATH, run it through ``npx``, in the version that AURA was tested with."""


class ActingOptions(AgentOptions, frozen=True, kw_only=True):
    """Options of agents that change files and run commands: whether they ask first."""

    yolo: bool = False
    """Allow everything without asking."""
    allow_all_tools: bool = False
    """The same as `yolo`."""

    silencing: ClassVar[Silencing] = {"yolo": (True,), "allow_all_tools": (True,)}
    """The options with which the agent asks for nothing, with the values that do it."""

    @property
    def free(self) -> bool:
        """Whether the agent may do everything without asking."""
        return self.yolo or self.allow_all_tools


Options = TypeVar("Options", bound=AgentOptions)

_MAY_BE_EMPTY = frozenset({"params", "append_prompt"})
"""Options whose value may be empty."""


def require_forkable(name: str, run: AgentRun, *, forks: bool) -> None:
    """Raise `InvalidInput` for a fork without a session, or by an executor that cannot fork."""
    if run.fork and not forks:
        reason = f"{name} cannot fork a session"
        raise InvalidInput(field="fork", reason=reason, remedy="resume the session, or begin a new one")
    if run.fork and run.session_id is None:
        raise InvalidInput(field="fork", reason="no session to fork was named", remedy="name the session")


def require_same_folder(name: str, run: AgentRun) -> None:
    """Raise `SessionElsewhere` for an agent that would work in the folder of its session."""
    if run.session_id is not None and run.elsewhere:
        raise SessionElsewhere(session=run.session_id, executor=name)


def agent_options(name: str, run: AgentRun, kind: type[Options], *, forks: bool = False) -> Options:
    """Return the options of `run` as the struct of executor `name`; `forks` is whether its agent can fork a session.

    Raises `InvalidInput` for unknown options, values that no system accepts, and a fork without a session.
    """
    options = read_options(name, run.options, kind)
    require_clean(options)
    require_forkable(name, run, forks=forks)
    return options


VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""The name of a variable of the environment."""


def prompt_of(run: AgentRun, options: AgentOptions) -> str:
    """Return the whole prompt."""
    return "\n\n".join(part for part in (run.prompt, options.append_prompt) if part)


LEAD = "Task: "
"""Put before a prompt that begins like a command, for agents that skip spaces before one."""


def without_command(prompt: str, lead: str = " ") -> str:
    """Return a prompt that an agent does not take for one of its commands, which begin with a slash.

    >>> without_command("/etc/hosts is wrong")
    ' /etc/hosts is wrong'
    """
    return f"{lead}{prompt}" if prompt.lstrip().startswith("/") else prompt


def prompt_bytes(run: AgentRun, options: AgentOptions) -> bytes:
    """Return the whole prompt encoded for standard input; lone surrogates become question marks."""
    return prompt_of(run, options).encode("utf-8", "replace")


def require_clean(options: msgspec.Struct) -> None:
    """Raise `InvalidInput` for options that no operating system accepts or that must not be stored."""
    require_no_secrets(msgspec.to_builtins(options))
    if isinstance(options, AgentOptions) and options.executable is not None and options.base_command is not None:
        reason = "it is the same as option executable"
        raise InvalidInput(field="option base_command", reason=reason, remedy="give one of them")
    for name in getattr(options, "env", {}):
        if not name or "=" in name:
            raise InvalidInput(field="option env", reason=f"{name!r} is not the name of a variable")
    for field in msgspec.structs.fields(options):
        for place, text in _texts(field.name, getattr(options, field.name)):
            if "\0" in text:
                raise InvalidInput(field=f"option {place}", reason="contains a NUL character", remedy="remove it")
            if not text.strip() and text != field.default and field.name not in _MAY_BE_EMPTY:
                raise InvalidInput(field=f"option {place}", reason="is empty", remedy="leave it out")


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield a text, the texts in a list, or the variables in `env`, with their places; other tables are the agent's."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, tuple):
        yield from ((f"{name}[{index}]", text) for index, text in enumerate(value) if isinstance(text, str))
    elif name == "env" and isinstance(value, dict):
        yield from ((f"{name}.{variable}", f"{variable}={text}") for variable, text in value.items())


def silencing_option(options: msgspec.Struct, silencing: Silencing) -> str | None:
    """Return the name of the option with which the agent asks for nothing; None without one."""
    return next((name for name, values in silencing.items() if getattr(options, name) in values), None)


def require_consistent_options(options: ActingOptions, *names: str) -> None:
    """Raise `InvalidInput` if `yolo` conflicts with another option about asking for permission."""
    for name in names:
        if options.free and getattr(options, name):
            switch = "yolo" if options.yolo else "allow_all_tools"
            reason = f"it conflicts with option {name}"
            raise InvalidInput(field=f"option {switch}", reason=reason, remedy="give one of them")


def program_of(program: "Program", options: AgentOptions, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the start of the command line: the program in the options, the agent's, or ``npx`` with a pinned package.

    The program is looked up on the PATH of `environment`, which is the agent's. Raises `InvalidInput` for ``npx`` if
    the agent has no package. A program that is not found is returned by name; starting it fails with
    `ExecutableNotFound`.
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
