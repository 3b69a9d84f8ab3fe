"""Executor `qwen-code`: Qwen Code.

    qwen --input-format=stream-json --output-format=stream-json ...

It writes what Claude Code writes, and speaks the same control protocol (`aura_executors.agents.claude`), with other
tools and other ways to fail. The prompt goes by standard input.

======================  ================================================================================================
success                 ``result`` with subtype ``success``, whose last message is not a service failure
failure                 service failures are reported as a success, with exit code 0 and a text in brackets
                        that consumed no tokens: ``[API Error: 500 ...]``; others: is_error true
no final word           the stream ends without ``result``: a failure, whatever the exit code is
rate limit              the status in that text, or its words
authentication          the status in that text, or its words
refused                 not distinguished from other answers
session lost            "No saved session found with ID" on standard error, exit code 1, and no line of output
interrupted             exit code 130 and no ``result``, after SIGINT and after being asked to stop
lack of permission      a call that a human denied; permission_denials stays empty
======================  ================================================================================================

Quirks, seen in 0.15.10:

- After status 500 or 429 it retries silently for more than a minute before it gives up.
- It needs the request ``initialize``: without it, it waits for permissions without asking for them.
- Its launcher keeps signals from the agent; ``QWEN_CODE_NO_RELAUNCH=true`` disables the launcher.
- Sessions are bound to the folder: another worktree of the same repository cannot resume them.
- Tokens in a result are those of the whole session; it reports no cost.
- 0.24 was seen to ask for no permission at all: tools that need one are not offered to the model.
"""

from collections.abc import Mapping

from aura_contracts.ports.executors import AgentRun, Availability, Capability, Conversation, Executor, Launch
from aura_executors.agents.qwen.command import (
    PROGRAM,
    QwenApprovalMode,
    QwenOptions,
    argv_of,
    environment_of,
    options_of,
    stdin_of,
)
from aura_executors.agents.qwen.conversation import QwenConversation

__all__ = ["QwenApprovalMode", "QwenConversation", "QwenExecutor", "QwenOptions"]


class QwenExecutor(Executor):
    """Runs qwen."""

    name = "qwen-code"
    summary = "Qwen Code; it asks before it uses tools"
    capability = Capability(resume=True, permissions=True, tool_servers=True, plan=True, protocol=True)

    def launch(self, run: AgentRun) -> Launch:
        options = options_of(run)
        return Launch(
            argv=argv_of(run, options),
            env=environment_of(options),
            stdin=stdin_of(run, options),
            interactive=True,
        )

    def converse(self, run: AgentRun) -> Conversation:
        return QwenConversation(run)

    def availability(self, environment: Mapping[str, str]) -> Availability:
        return PROGRAM.availability(environment)
