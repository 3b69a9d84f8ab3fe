"""Executor `opencode`: the OpenCode CLI.

    opencode run --format json --thinking ...

It writes one JSON object in a line. The prompt goes by standard input: as an argument, one that begins with ``--`` is
refused.

======================  ================================================================================================
success                 the last step finished for another reason than tool calls; a final event does not exist
failure                 an event ``error``, with the HTTP status of the model's service where there was one
no final word           the last step did not finish: a failure, whatever the exit code is
rate limit              status 429; it retries 429 and 500 by itself, for about 75 seconds
authentication          status 401 or 403, ``ProviderAuthError``
refused                 a step that finished for ``content-filter``
session lost            "Session not found" on standard error, exit code 1
interrupted             not visible: SIGINT and SIGTERM end it at once, without output
lack of permission      what would be asked for is rejected at once: a tool ends with "rejected permission" or "a rule
                        which prevents"; the agent stops there, and exits with 0
======================  ================================================================================================

Quirks, seen in 1.18.33:

- An answer that is cut off is asked for again without limit, 15 times a second, and each half is written out, so that
  no idle timeout helps: after `CUT_OFF_LIMIT` of them in a row the conversation declares the run failed, and the
  process is ended.
- A session is bound to its folder: resumed from another one, opencode works in the session's, or hangs, or fails if it
  has gone. AURA does not resume one elsewhere.
- SIGTERM during a shell command leaves the command running, which the supervisor ends.
- It works in ``$PWD`` if that is set.
"""

from collections.abc import Iterator

from aura_contracts.ports.executors import AgentRun, Capability
from aura_executors.adapter.agent_executor import AgentExecutor
from aura_executors.agents.opencode.command import PROGRAM, OpencodeOptions, arguments_of, environment_of
from aura_executors.agents.opencode.conversation import CUT_OFF_LIMIT, OpencodeConversation

__all__ = ["CUT_OFF_LIMIT", "OpencodeExecutor", "OpencodeOptions"]


class OpencodeExecutor(AgentExecutor[OpencodeOptions]):
    """Runs opencode."""

    name = "opencode"
    summary = "the OpenCode CLI (run --format json)"
    capability = Capability(resume=True, fork=True, permissions=False, tool_servers=True, plan=True, protocol=True)
    program = PROGRAM
    reads = ("AGENTS.md",)
    options = OpencodeOptions

    def arguments(self, run: AgentRun, options: OpencodeOptions) -> Iterator[str]:
        return arguments_of(run, options)

    def environment(self, run: AgentRun, options: OpencodeOptions) -> dict[str, str | None]:
        return environment_of(run, options)

    def converse(self, run: AgentRun) -> OpencodeConversation:
        return OpencodeConversation(session_id=run.session_id or "", model=self.options_of(run).model or "")
