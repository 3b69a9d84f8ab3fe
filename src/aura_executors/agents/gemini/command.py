"""The command of the Gemini CLI. Pure, but for the look where the program is."""

from typing import Literal

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, Launch
from aura_executors._options import read_options
from aura_executors.agents._command import AgentOptions, program_of, prompt_of, require_clean, with_params
from aura_executors.agents._finding import Program

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


class GeminiOptions(AgentOptions, frozen=True, kw_only=True):
    """What `gemini` can be set to. Without any permission it can only read."""

    yolo: bool = False
    """Use every tool without asking."""
    approval_mode: Literal["default", "auto_edit", "yolo", "plan"] | None = None
    """What it may do without asking: only read (``default``, ``plan``), edit files too, everything."""
    allowed_tools: tuple[str, ...] = ()
    """Tools to be used without asking, such as ``run_shell_command(git status)``."""
    policies: tuple[str, ...] = ()
    """Files or folders with rules of its policy engine, which say what it may use."""
    sandbox: bool = False
    """Run in its own sandbox (Docker, Podman or the system's), as its settings say."""
    trust: bool = False
    """Trust the folder, for this run: its settings, commands and servers are used. It works in no other."""
    include_directories: tuple[str, ...] = ()
    """Further folders that it may work in."""
    extensions: tuple[str, ...] | None = None
    """Its extensions to be used; None: all that are installed."""
    allowed_mcp_server_names: tuple[str, ...] = ()
    """Which servers of its settings it may use; none named: all."""


def launch_of(name: str, run: AgentRun) -> Launch:
    """Return the command for `run`. Raises `InvalidInput` for options, or a prompt, that it could not work with."""
    options = read_options(name, run.options, GeminiOptions)
    require_clean(options)
    if options.yolo and options.approval_mode is not None:
        reason = "it says what option approval_mode says"
        raise InvalidInput(field="option yolo", reason=reason, remedy="give one of them")
    if run.fork:
        reason = f"{name} cannot go on with a copy of a session"
        raise InvalidInput(field="fork", reason=reason, remedy="resume the session, or begin a new one")
    prompt = prompt_of(run, options).encode("utf-8", "surrogatepass")
    if len(prompt) > PROMPT_LIMIT:
        reason = f"it takes {len(prompt)} bytes, more than the {PROMPT_LIMIT} that {name} reads"
        raise InvalidInput(field="prompt", reason=reason, remedy="put the text into a file, and name it in the prompt")
    return Launch(
        argv=(*program_of(PROGRAM, options, run.environment), *with_params(_arguments(run, options), options)),
        env={**_ENVIRONMENT, **options.env},
        stdin=prompt,
        farewell=15.0,
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
    flags = {"--yolo": options.yolo, "--sandbox": options.sandbox, "--skip-trust": options.trust}
    arguments += [flag for flag, wanted in flags.items() if wanted]
    lists = {
        "--allowed-tools": options.allowed_tools,
        "--policy": options.policies,
        "--include-directories": options.include_directories,
        "--extensions": options.extensions or (),
        "--allowed-mcp-server-names": options.allowed_mcp_server_names,
    }
    arguments += [f"{flag}={value}" for flag, values in lists.items() for value in values]
    if options.extensions == ():
        arguments.append("--extensions=none")
    return arguments
