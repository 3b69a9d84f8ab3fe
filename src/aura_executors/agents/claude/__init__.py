"""Executor `claude`: Anthropic's Claude Code.

    claude -p --input-format=stream-json --output-format=stream-json --verbose --permission-prompt-tool=stdio ...

The prompt goes to standard input, which stays open for answers to permission requests and the request to stop, and is
closed when the turn is over. The outcome is judged by the ``result`` at the end of the stream, never by the exit code,
which is 0 after SIGINT and 143 after SIGTERM.

======================  ================================================================================================
success                 ``result`` with subtype ``success`` and is_error false
failure                 ``result`` with is_error true, also with subtype ``success`` (that is how service
                        failures are reported); ``error_during_execution``, ``error_max_turns``
no final word           the stream ends without ``result``: a failure, whatever the exit code is
rate limit              api_error_status 429 or 529, or the kind of error ``rate_limit`` or ``overloaded``
authentication          api_error_status 401 or 403, ``authentication_failed``, "Not logged in"
refused                 stop_reason ``refusal``, or its words about the Usage Policy
session lost            "No conversation found with session ID"; it also says so of sessions that were killed within
                        seconds of their start
interrupted             ``error_during_execution`` with a terminal_reason that begins with ``aborted``; no ``result``
                        after SIGTERM
lack of permission      permission_denials in the ``result``, which is a success otherwise
======================  ================================================================================================

Quirks, seen in 2.1.197 and 2.1.329:

- 2.1.329 runs subagents in the background. It sends a result before they are done, and another one after; standard
  input stays open until then, because they ask for permissions too.
- 2.1.329 waits for background shell commands indefinitely, even when standard input is closed. They get 30 seconds, in
  which claude may continue once they are done, but can no longer ask.
- After one retry it accepts a truncated stream of the service as a complete answer, and reports success.
- 2.1.329 counts ``modelUsage`` of a resumed session from the session's beginning.
- Sessions are bound to the folder's path, except that other worktrees of the same repository can resume them.
"""

from collections.abc import Mapping
from pathlib import PurePath

import attrs

from aura_contracts.ports.executors import AgentRun, Availability, Capability, Conversation, Executor, Launch
from aura_executors.agents.claude.command import (
    PROGRAM,
    ClaudeOptions,
    Effort,
    PermissionMode,
    argv_of,
    environment_of,
    options_of,
    stdin_of,
)
from aura_executors.agents.claude.conversation import ClaudeConversation

__all__ = ["ClaudeConversation", "ClaudeExecutor", "ClaudeOptions", "Effort", "PermissionMode"]


EXIT_GRACE = 30.0
"""Seconds that background shell commands get; without any, claude exits at once."""


class ClaudeExecutor(Executor):
    """Runs claude."""

    name = "claude"
    summary = "Anthropic's Claude Code; it asks before it uses tools"
    capability = Capability(resume=True, fork=True, permissions=True, tool_servers=True, plan=True, protocol=True)

    def launch(self, run: AgentRun) -> Launch:
        options = options_of(run)
        return Launch(
            argv=argv_of(run, options),
            env=environment_of(options),
            stdin=stdin_of(run, options),
            interactive=True,
            exit_grace=EXIT_GRACE,
        )

    def converse(self, run: AgentRun) -> Conversation:
        return ClaudeConversation(run)

    def availability(self, environment: Mapping[str, str]) -> Availability:
        home = environment.get("CLAUDE_CONFIG_DIR")
        program = attrs.evolve(PROGRAM, files=(str(PurePath(home, ".credentials.json")),)) if home else PROGRAM
        return program.availability(environment)
