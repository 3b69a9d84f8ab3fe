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
lack of permission      a call that a human denied, or a question that was not answered in time; permission_denials
                        stays empty
======================  ================================================================================================

Quirks, seen in 0.15.10 and 0.24.4:

- After status 500 or 429 it retries silently for more than a minute before it gives up.
- It needs the request ``initialize``: without it, it waits for permissions without asking for them.
- It would take a prompt that begins with ``/`` for a command; AURA puts a space before it.
- It writes a message only when it is whole; the parts as well if there is a limit of time without output.
- Its launcher keeps signals from the agent; ``QWEN_CODE_NO_RELAUNCH=true`` disables the launcher.
- Sessions are bound to the folder: another worktree of the same repository cannot resume them.
- Tokens in a result are those of the whole session; it reports no cost.
- It gives up a question that is not answered within 30 or 60 seconds, and would report success. AURA ends it there;
  the question stays open, and the answer resumes the session, where qwen makes the same call again.
- 0.24 asks only in some modes: elsewhere, tools that need a permission are not offered to the model.
"""

from collections.abc import Iterator

from aura_contracts.ports.executors import AgentRun, Capability
from aura_executors.adapter.agent_executor import AgentExecutor
from aura_executors.agents.claude.command import stdin_of
from aura_executors.agents.qwen.command import INITIALIZE, PROGRAM, QwenOptions, arguments_of
from aura_executors.agents.qwen.conversation import QwenConversation

__all__ = ["QwenConversation", "QwenExecutor", "QwenOptions"]


class QwenExecutor(AgentExecutor[QwenOptions]):
    """Runs qwen."""

    name = "qwen-code"
    summary = "Qwen Code; it asks before it uses tools"
    capability = Capability(resume=True, permissions=True, tool_servers=True, plan=True, protocol=True)
    program = PROGRAM
    reads = ("QWEN.md",)
    options = QwenOptions
    variables = {"QWEN_CODE_NO_RELAUNCH": "true"}
    """No process in between that keeps signals from the agent."""
    interactive = True

    def arguments(self, run: AgentRun, options: QwenOptions) -> Iterator[str]:
        return arguments_of(run, options)

    def stdin(self, run: AgentRun, options: QwenOptions) -> bytes:
        return INITIALIZE + stdin_of(run, options)

    def converse(self, run: AgentRun) -> QwenConversation:
        return QwenConversation(run)
