"""What the commands of agents have in common: options that every adapter has, and how the command is put together."""

from collections.abc import Mapping, Sequence

import msgspec

from aura_contracts.environment import require_no_secrets
from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun
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


def prompt_of(run: AgentRun, options: AgentOptions) -> str:
    """Return the whole prompt."""
    return "\n\n".join(part for part in (run.prompt, options.append_prompt) if part)


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
    for field in ("model", "executable", "base_command"):
        if (text := getattr(options, field)) is not None and not text.strip():
            raise InvalidInput(field=f"option {field}", reason="is empty", remedy="leave it out")
    for name in options.env:
        if not name or "=" in name or "\0" in name:
            raise InvalidInput(field="option env", reason=f"{name!r} is no name for a variable")
    texts = [*options.params, *options.env.values(), options.append_prompt]
    texts += [text for text in (options.model, options.executable, options.base_command) if text]
    if any("\0" in text for text in texts):
        raise InvalidInput(field="options", reason="one holds a NUL character", remedy="remove the character")


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
