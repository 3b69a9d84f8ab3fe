"""The command that starts renamer. Pure, apart from locating the program."""

import shutil
import sysconfig
from collections.abc import Iterator

import msgspec
from aura_executors import (
    AgentOptions,
    AgentRun,
    InvalidInput,
    Program,
    program_of,
    prompt_of,
    read_options,
    require_clean,
)

PROGRAM = Program(
    name="renamer",
    tested=("1.0",),
    install="pip install aura-executor-renamer",
    bundled=lambda: shutil.which("renamer", path=sysconfig.get_path("scripts")),
)


class RenamerOptions(AgentOptions, frozen=True, kw_only=True):
    """Options of `renamer`, in addition to those of every agent."""

    only: str = "*"
    """Only files whose path matches this pattern."""
    ask: bool = True
    """It asks for permission before it changes a file."""


def options_of(run: AgentRun) -> RenamerOptions:
    """Return the options of `run`. Raises `InvalidInput` for invalid ones."""
    options = read_options("renamer", run.options, RenamerOptions)
    require_clean(options)
    if options.model is not None:
        raise InvalidInput(field="option model", reason="renamer does not use a model", remedy="leave it out")
    if "\0" in options.only:
        raise InvalidInput(field="option only", reason="holds a NUL character", remedy="remove the character")
    if run.fork:
        raise InvalidInput(field="fork", reason="renamer cannot fork a session", remedy="resume it or start a new one")
    return options


def argv_of(run: AgentRun, options: RenamerOptions) -> tuple[str, ...]:
    """Return the command without the prompt, which could be too long or look like an option."""
    return (*program_of(PROGRAM, options, run.environment), *_flags(run, options), *options.params)


def _flags(run: AgentRun, options: RenamerOptions) -> Iterator[str]:
    yield f"--only={options.only}"
    if options.ask:
        yield "--ask"
    if run.session_id is not None:
        yield f"--session={run.session_id}"
    elif run.new_session_id:
        yield f"--new-session={run.new_session_id}"


def stdin_of(run: AgentRun, options: RenamerOptions) -> bytes:
    """Return its first line of input."""
    return msgspec.json.encode({"prompt": _printable(prompt_of(run, options))}) + b"\n"


def _printable(text: str) -> str:
    """Return `text` without lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()
