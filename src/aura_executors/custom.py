"""Executor `custom`: any command is an agent.

    aura run --executor custom --prompt "..." --base-command sh --param -c --param 'make "$AURA_PROMPT"'

The command runs in the worktree. What it writes is its output, exit code 0 is success, and what it changed in the files
is the proposal. It has no session: a follow-up runs it again, with the feedback as its prompt.
"""

from enum import StrEnum

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, Capability, Executor, Launch
from aura_contracts.ports.processes import ARGUMENT_LIMIT
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.options import require_clean

PROMPT_VARIABLE = "AURA_PROMPT"

PLACEHOLDER = "{prompt}"
"""An argument that is exactly this is replaced by the prompt, where the prompt goes by argument."""


class PromptVia(StrEnum):
    """How the command is given the prompt."""

    ARGUMENT = "argument"
    """In place of each argument ``{prompt}``; without any, as the last argument."""
    STDIN = "stdin"
    """On standard input, which is closed after it."""
    ENV = "env"
    """In the variable ``AURA_PROMPT``, which the other ways set too as long as the prompt fits."""
    NONE = "none"
    """The command does not need it; ``AURA_PROMPT`` is set all the same, if the prompt fits."""


class CustomOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `custom`."""

    base_command: str
    """The program: a name on the path, or a path. One word, not split at spaces."""
    params: tuple[str, ...] = ()
    """Its arguments."""
    prompt_via: PromptVia | None = None
    """None: ``argument`` if one of `params` is ``{prompt}``, else ``env``.

    Not an added argument, because most commands that are given complete (``sh -c SCRIPT``, ``make test``) would take
    it for something else: a shell as its own name, in front of every error message; make as a target.
    """
    append_prompt: str = ""
    """Appended to the prompt, after an empty line."""
    env: dict[str, str] = {}
    """Added to the environment. Secrets are refused: options are stored in the log."""


class CustomExecutor(Executor):
    """Runs a command that the user names."""

    name = "custom"
    summary = "any command: --base-command CMD, --param ARG; the prompt is in $AURA_PROMPT"
    capability = Capability(resume=False, permissions=False, plan=True)

    def launch(self, run: AgentRun) -> Launch:
        options = read_options(self.name, run.options, CustomOptions)
        if not options.base_command.strip():
            raise InvalidInput(field="option base_command", reason="is empty", remedy="name the program to run")
        require_clean(options)
        prompt = "\n\n".join(part for part in (run.prompt, options.append_prompt) if part)
        via = options.prompt_via or (PromptVia.ARGUMENT if PLACEHOLDER in options.params else PromptVia.ENV)
        unfit = _unfit(prompt)
        if unfit and via in {PromptVia.ARGUMENT, PromptVia.ENV}:
            remedy = "set the option prompt_via to 'stdin', or shorten the prompt"
            raise InvalidInput(field="prompt", reason=f"{unfit}, so it cannot be given by {via}", remedy=remedy)
        return Launch(
            argv=(options.base_command, *_arguments(options.params, prompt, via)),
            env={**options.env, PROMPT_VARIABLE: None if unfit else prompt},
            stdin=prompt.encode("utf-8", "surrogatepass") if via is PromptVia.STDIN else None,
        )


def _arguments(params: tuple[str, ...], prompt: str, via: PromptVia) -> tuple[str, ...]:
    if via is not PromptVia.ARGUMENT:
        return params
    if PLACEHOLDER not in params:
        return (*params, prompt)
    return tuple(prompt if param == PLACEHOLDER else param for param in params)


def _unfit(prompt: str) -> str:
    """Return why `prompt` cannot be an argument or a variable, or an empty text."""
    if "\0" in prompt:
        return "contains a NUL character"
    size = len(PROMPT_VARIABLE) + 1 + len(prompt.encode("utf-8", "surrogatepass"))
    return f"takes {size} bytes, more than {ARGUMENT_LIMIT}" if size > ARGUMENT_LIMIT else ""
