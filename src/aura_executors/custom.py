"""Executor `custom`: any command is an agent.

    aura run --executor custom --prompt "..." --base-command sh --param -c --param 'make "$AURA_PROMPT"'

The command runs in the worktree. What it writes is its output, exit code 0 is success, and what it changed in the files
is the proposal. A follow-up runs it again, with the feedback as its prompt.

What else it may need is in its environment: the variables of the run under their own names (``--var KEY=VALUE``), and

    AURA_SESSION_ID     the session to resume, as named with --session
    AURA_MODEL          the model, as named with --model
    AURA_REVIEW_MODE    what a human approves: plan, changes, both or auto
    OPENAI_BASE_URL     the service of --openai-endpoint, with /v1 if the URL has no path
"""

from enum import StrEnum

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, Capability, Executor, Launch
from aura_contracts.ports.processes import ARGUMENT_LIMIT
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.options import VARIABLE, require_clean, require_forkable
from aura_executors.adapter.service_url import ENDPOINT_VARIABLE, endpoint_url

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
    model: str | None = None
    """Given as ``AURA_MODEL``."""
    openai_endpoint: str | None = None
    """Given as ``OPENAI_BASE_URL``; ``/v1`` is added to a URL without a path."""
    append_prompt: str = ""
    """Appended to the prompt, after an empty line."""
    env: dict[str, str] = {}
    """Added to the environment. Secrets are refused: options are stored in the log."""


class CustomExecutor(Executor):
    """Runs a command that the user names."""

    name = "custom"
    summary = "any command: --base-command CMD, --param ARG; the prompt is in $AURA_PROMPT"
    capability = Capability(resume=True, permissions=False, plan=True)

    def launch(self, run: AgentRun) -> Launch:
        options = read_options(self.name, run.options, CustomOptions)
        if not options.base_command.strip():
            raise InvalidInput(field="option base_command", reason="is empty", remedy="name the program to run")
        require_clean(options)
        require_forkable(self.name, run, forks=False)
        prompt = "\n\n".join(part for part in (run.prompt, options.append_prompt) if part)
        via = options.prompt_via or (PromptVia.ARGUMENT if PLACEHOLDER in options.params else PromptVia.ENV)
        unfit = _unfit(prompt)
        if unfit and via in {PromptVia.ARGUMENT, PromptVia.ENV}:
            remedy = "set the option prompt_via to 'stdin', or shorten the prompt"
            raise InvalidInput(field="prompt", reason=f"{unfit}, so it cannot be given by {via}", remedy=remedy)
        return Launch(
            argv=(options.base_command, *_arguments(options.params, prompt, via)),
            env={**_variables(run, options), **options.env, PROMPT_VARIABLE: None if unfit else prompt},
            stdin=prompt.encode("utf-8", "surrogatepass") if via is PromptVia.STDIN else None,
        )


def _variables(run: AgentRun, options: CustomOptions) -> dict[str, str | None]:
    """Return what tells the command about its run; None removes what AURA itself was started with."""
    known = {
        "AURA_SESSION_ID": run.session_id,
        "AURA_MODEL": options.model,
        "AURA_REVIEW_MODE": run.review or None,
    }
    if options.openai_endpoint is not None:
        known[ENDPOINT_VARIABLE] = endpoint_url(options.openai_endpoint, "openai_endpoint")
    for name in run.variables:
        if not VARIABLE.fullmatch(name) or name.startswith(("AURA_", "GIT_")):
            reason = "cannot be a variable of the command's environment"
            remedy = "use letters, digits and _, without AURA_ or GIT_ at the beginning"
            raise InvalidInput(field=f"variable {name}", reason=reason, remedy=remedy)
    return {**run.variables, **known}


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
