"""Executor `gemini`: Google's Gemini CLI, run without a terminal.

    gemini --output-format stream-json [--resume ID] ...        # the prompt goes by standard input

It writes one JSON object per line: ``init``, ``message``, ``tool_use``, ``tool_result``, ``error``, ``result``. The
outcome is judged by these and never by the exit code, which is an HTTP status modulo 256 (401 gives 145, 429 173, 500
244), and 0 for an answer that was cut off or ended by SIGTERM.

======================  ================================================================================================
success                 ``result`` with status ``success``
failure                 ``result`` with status ``error``: its message, or that of the ``error`` before it
no final word           the stream ends without ``result``: a failure, whatever the exit code is
rate limit              the message of the ``result`` ("quota", "429"); else standard error (``status: 429``)
authentication          the message (code 401 or 403, ``UNAUTHENTICATED``); no ``init``, and exit 41: no login at all
refused                 ``error`` that says that the answer was blocked for safety, recitation, or another reason
session lost            no ``init``, and "Error resuming session" on standard error (exit 42)
interrupted             not visible: the stream just ends
lack of permission      ``tool_result`` whose error is a policy's, says that a confirmation cannot be had, or is about a
                        tool that exists but was not offered. An agent that gives up without trying leaves no trace
======================  ================================================================================================

Quirks, seen in 0.61.0:

- Without permission (options `yolo`, `approval_mode`, `allow_tools`) it does not offer writing tools to the model at
  all. The model may still claim that everything is done.
- It refuses to work in a folder that is not trusted (exit 55, which is `PermissionDenied` here) unless its settings
  do not require it: option `trust`. Trust in a repository does not extend to worktrees elsewhere.
- It takes an id for a new session (``--session-id``), but refuses it when it is started a second time, so AURA gives
  none. Its own id is in ``init``, its first event.
- A session is bound to the folder in which it began; it is not found from any other, even a worktree of the same
  repository.
- It restarts itself in a child process that signals do not reach; AURA prevents this with
  ``GEMINI_CLI_NO_RELAUNCH``.
- When the connection breaks it silently restarts its answer: the message contains both beginnings.
- It would look up a prompt that begins with ``/`` among its commands, also after spaces; AURA puts "Task: " before it.
  ``@path`` in a prompt includes a file.
- It does not distinguish new files from changed ones: each `FileChanged` says modified.
- Usage counts thoughts only in the total; here they are output, as they are billed.
- Servers of the Model Context Protocol come only from settings files, so AURA cannot give it any.
"""

from collections.abc import Iterator

from aura_contracts.ports.executors import AgentRun, Capability
from aura_executors.adapter.agent_executor import AgentExecutor
from aura_executors.agents.gemini.command import PROGRAM, GeminiOptions, arguments_of, prompt_of
from aura_executors.agents.gemini.conversation import GeminiConversation

__all__ = ["GeminiConversation", "GeminiExecutor", "GeminiOptions"]


class GeminiExecutor(AgentExecutor[GeminiOptions]):
    """Runs the Gemini CLI."""

    name = "gemini"
    summary = "Google's Gemini CLI"
    capability = Capability(resume=True, protocol=True)
    program = PROGRAM
    reads = ("GEMINI.md",)
    options = GeminiOptions
    variables = {"GEMINI_CLI_NO_RELAUNCH": "true"}
    exit_grace = 15.0

    def arguments(self, run: AgentRun, options: GeminiOptions) -> Iterator[str]:
        return arguments_of(run, options)

    def stdin(self, run: AgentRun, options: GeminiOptions) -> bytes:
        return prompt_of(run, options)

    def converse(self, run: AgentRun) -> GeminiConversation:
        return GeminiConversation(run)
