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
- It would take a prompt that begins with ``/`` for a command of its own, and report success; AURA puts a space before
  it.
- It writes a message only when it is whole. With a limit of time without output, AURA has it write the parts too
  (``--include-partial-messages``); a tool that runs silently still counts as silence.
- Sessions are bound to the folder's path, except that other worktrees of the same repository can resume them.
"""

from collections.abc import Iterator, Mapping

from aura_contracts.ports.executors import AgentRun, Availability, Capability
from aura_executors.adapter.agent_executor import AgentExecutor
from aura_executors.adapter.option_reader import read_options
from aura_executors.agents.claude.command import PROGRAM, ClaudeOptions, PermissionMode, arguments_of, stdin_of
from aura_executors.agents.claude.conversation import ClaudeConversation

__all__ = ["ClaudeConversation", "ClaudeExecutor", "ClaudeOptions", "PermissionMode"]


class ClaudeExecutor(AgentExecutor[ClaudeOptions]):
    """Runs claude."""

    name = "claude"
    summary = "Anthropic's Claude Code; it asks before it uses tools"
    capability = Capability(
        resume=True, fork=True, permissions=True, tool_servers=True, messages=True, plan=True, protocol=True
    )

    program = PROGRAM
    reads = ("CLAUDE.md", ".claude/CLAUDE.md", "CLAUDE.local.md")
    options = ClaudeOptions
    interactive = True
    exit_grace = 30.0
    """Seconds that background shell commands get; without any, claude exits at once."""

    def arguments(self, run: AgentRun, options: ClaudeOptions) -> Iterator[str]:
        return arguments_of(run, options)

    def stdin(self, run: AgentRun, options: ClaudeOptions) -> bytes:
        return stdin_of(run, options)

    def environment(self, run: AgentRun, options: ClaudeOptions) -> dict[str, str | None]:
        """Return the changes to the environment.

        ``CLAUDECODE`` tells claude that it was started by another claude, which it refuses; AURA may have been started
        by one.
        """
        without_key: dict[str, str | None] = {"ANTHROPIC_API_KEY": None} if options.disable_api_key else {}
        ours: dict[str, str | None] = {"DISABLE_AUTOUPDATER": "1", "CLAUDECODE": None, "CLAUDE_CODE_ENTRYPOINT": None}
        return {**ours, **without_key, **options.env}

    def documents_read(self, options: Mapping[str, object]) -> tuple[str, ...]:
        """It reads them with the settings of the project: without those, none."""
        sources = read_options(self.name, options, ClaudeOptions).setting_sources
        return self.reads if sources is None or "project" in sources.split(",") else ()

    def converse(self, run: AgentRun) -> ClaudeConversation:
        return ClaudeConversation(run)

    def availability(self, environment: Mapping[str, str]) -> Availability:
        return PROGRAM.with_login_in(environment, "CLAUDE_CONFIG_DIR", ".credentials.json").availability(environment)
