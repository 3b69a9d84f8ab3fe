"""Executor `custom`: any command is an agent.

    aura run --executor custom --prompt "..." --base-command sh --param -c --param 'make "$AURA_PROMPT"'

The command runs in the worktree. What it writes is its output, exit code 0 is success, and what it changed in the files
is the proposal. A follow-up runs it again, with the feedback as its prompt. It learns about the run from variables:

======================  ================================================================================================
AURA_PROMPT             the prompt, if it fits
AURA_SESSION_ID         the session that was named to resume; the command itself keeps and finds sessions
AURA_MODEL              the model that was asked for
AURA_REVIEW_MODE        1 if the command is to review (``--review``)
OPENAI_BASE_URL         the service that was asked for, also as OPENAI_API_BASE; OPENAI_API_KEY is ``local`` if not set
any name of ``--var``   its value; AURA's own variables win over it
======================  ================================================================================================
"""

import re
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, Capability, Executor, Launch
from aura_contracts.ports.processes import ARGUMENT_LIMIT
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.options import require_clean
from aura_executors.adapter.service_url import base_url_of

PROMPT_VARIABLE = "AURA_PROMPT"
SESSION_VARIABLE = "AURA_SESSION_ID"
MODEL_VARIABLE = "AURA_MODEL"
REVIEW_VARIABLE = "AURA_REVIEW_MODE"

_RESERVED = "AURA_"
"""How the names of AURA's own variables begin."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

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
    model: str | None = None
    """Given to the command in ``AURA_MODEL``."""
    openai_endpoint: str | None = None
    """A service with OpenAI's interface, given in ``OPENAI_BASE_URL``. A URL without a path gets ``/v1``."""
    review: bool = False
    """Set ``AURA_REVIEW_MODE=1``: the command is to review."""
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
        if run.fork:
            raise InvalidInput(field="fork", reason="custom cannot fork a session", remedy="resume it")
        prompt = "\n\n".join(part for part in (run.prompt, options.append_prompt) if part)
        via = options.prompt_via or (PromptVia.ARGUMENT if PLACEHOLDER in options.params else PromptVia.ENV)
        unfit = _unfit(prompt)
        if unfit and via in {PromptVia.ARGUMENT, PromptVia.ENV}:
            remedy = "set the option prompt_via to 'stdin', or shorten the prompt"
            raise InvalidInput(field="prompt", reason=f"{unfit}, so it cannot be given by {via}", remedy=remedy)
        return Launch(
            argv=(options.base_command, *_arguments(options.params, prompt, via)),
            env={**_variables(run, options), PROMPT_VARIABLE: None if unfit else prompt},
            stdin=prompt.encode("utf-8", "surrogatepass") if via is PromptVia.STDIN else None,
        )


def _variables(run: AgentRun, options: CustomOptions) -> dict[str, str | None]:
    """Return what the environment says about the run, besides the prompt. Raises `InvalidInput` for a bad endpoint."""
    named = {name: value for name, value in run.variables.items() if _NAME.fullmatch(name) and _is_free(name)}
    ours = {SESSION_VARIABLE: run.session_id, MODEL_VARIABLE: options.model, REVIEW_VARIABLE: "1"}
    if not options.review:
        del ours[REVIEW_VARIABLE]
    given = {name: value for name, value in ours.items() if value is not None}
    return {**_service(run.environment, options), **named, **options.env, **given}


def _service(environment: Mapping[str, str], options: CustomOptions) -> dict[str, str]:
    if options.openai_endpoint is None:
        return {}
    url = base_url_of(options.openai_endpoint, "option openai_endpoint")
    key = {} if environment.get("OPENAI_API_KEY") else {"OPENAI_API_KEY": "local"}
    return {"OPENAI_BASE_URL": url, "OPENAI_API_BASE": url, **key}


def _is_free(name: str) -> bool:
    """Whether a variable of a template may be one of the environment too: AURA's and git's own may not."""
    return not name.startswith((_RESERVED, "GIT_"))


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
