"""The command of the Gemini CLI. Pure, except that the program is looked up."""

from collections.abc import Iterator
from typing import Literal

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun
from aura_executors.adapter.agent_executor import flags
from aura_executors.adapter.options import LEAD, ActingOptions, require_consistent_options, without_command
from aura_executors.adapter.options import prompt_of as text_of
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


def arguments_of(run: AgentRun, options: GeminiOptions) -> Iterator[str]:
    """Yield the arguments. Raises `InvalidInput` for options that contradict each other."""
    require_consistent_options(options, "approval_mode")
    return flags(
        {
            "--output-format": "stream-json",
            "--resume": run.session_id,
            "--model": options.model,
            "--approval-mode": options.approval_mode,
            "--yolo": options.free,
            "--sandbox": options.sandbox,
            "--skip-trust": options.trust,
            "--allowed-tools": options.allow_tools,
            "--policy": options.policies,
            "--include-directories": options.add_dirs,
            "--allowed-mcp-server-names": options.allowed_mcp_server_names,
            "--extensions": "none" if options.extensions == () else options.extensions,
        }
    )


def prompt_of(run: AgentRun, options: GeminiOptions) -> bytes:
    """Return the prompt. Raises `InvalidInput` for one that it would cut."""
    prompt = without_command(text_of(run, options), LEAD).encode("utf-8", "replace")
    if len(prompt) > PROMPT_LIMIT:
        reason = f"it takes {len(prompt)} bytes, more than the {PROMPT_LIMIT} that gemini reads"
        raise InvalidInput(field="prompt", reason=reason, remedy="put the text into a file, and name it in the prompt")
    return prompt
