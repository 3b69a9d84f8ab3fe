"""The command of the Gemini CLI. Pure, except that the program is looked up."""

from typing import Literal

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, Launch
from aura_executors.adapter.options import (
    ActingOptions,
    agent_options,
    program_of,
    prompt_bytes,
    require_consistent_options,
    with_params,
)
from aura_executors.adapter.program_lookup import Program

PROGRAM = Program(
    name="gemini",
    tested=("0.61.0",),
    install="npm install -g @google/gemini-cli@0.61.0",
    package="@google/gemini-cli@0.61.0",
    variables=("GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA"),
    files=("~/.gemini/oauth_creds.json", "~/.gemini/gemini-credentials.json"),
    log_in="run gemini and log in, or set GEMINI_API_KEY",
)

PROMPT_LIMIT = 8 * 1024 * 1024
"""Bytes of standard input that it reads; it cuts what is longer, and says so only in its debug log."""

_ENVIRONMENT = {"GEMINI_CLI_NO_RELAUNCH": "true"}


class GeminiOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `gemini`. Without any permission it can only read."""

    approval_mode: Literal["default", "auto_edit", "yolo", "plan"] | None = None
    """What it may do without asking: read only (``default``, ``plan``), edit files too, or everything."""
    allow_tools: tuple[str, ...] = ()
    """Tools that it may use without asking, such as ``run_shell_command(git status)``."""
    policies: tuple[str, ...] = ()
    """Files or folders with rules for its policy engine."""
    sandbox: bool = False
    """Run in its own sandbox (Docker, Podman or the system's), as its settings say."""
    trust: bool = False
    """Trust the folder for this run: its settings, commands and servers are used. It refuses to work in any other."""
    add_dirs: tuple[str, ...] = ()
    """Additional folders that it may work in."""
    extensions: tuple[str, ...] | None = None
    """The extensions to use; None: all installed ones."""
    allowed_mcp_server_names: tuple[str, ...] = ()
    """The servers of its settings that it may use; none named: all."""


def launch_of(name: str, run: AgentRun) -> Launch:
    """Return the command for `run`. Raises `InvalidInput` for options, or a prompt, that it could not work with."""
    options = agent_options(name, run, GeminiOptions)
    require_consistent_options(options, "approval_mode")
    prompt = prompt_bytes(run, options)
    if len(prompt) > PROMPT_LIMIT:
        reason = f"it takes {len(prompt)} bytes, more than the {PROMPT_LIMIT} that {name} reads"
        raise InvalidInput(field="prompt", reason=reason, remedy="put the text into a file, and name it in the prompt")
    return Launch(
        argv=(*program_of(PROGRAM, options, run.environment), *with_params(_arguments(run, options), options)),
        env={**_ENVIRONMENT, **options.env},
        stdin=prompt,
        exit_grace=15.0,
    )


def _arguments(run: AgentRun, options: GeminiOptions) -> list[str]:
    """Return the arguments. Values are joined to their names, so that none is taken for an option."""
    arguments = ["--output-format=stream-json"]
    if run.session_id is not None:
        arguments.append(f"--resume={run.session_id}")
    if options.model is not None:
        arguments.append(f"--model={options.model}")
    if options.approval_mode is not None:
        arguments.append(f"--approval-mode={options.approval_mode}")
    flags = {"--yolo": options.free, "--sandbox": options.sandbox, "--skip-trust": options.trust}
    arguments += [flag for flag, wanted in flags.items() if wanted]
    lists = {
        "--allowed-tools": options.allow_tools,
        "--policy": options.policies,
        "--include-directories": options.add_dirs,
        "--extensions": options.extensions or (),
        "--allowed-mcp-server-names": options.allowed_mcp_server_names,
    }
    arguments += [f"{flag}={value}" for flag, values in lists.items() for value in values]
    if options.extensions == ():
        arguments.append("--extensions=none")
    return arguments
