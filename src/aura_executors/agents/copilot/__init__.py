"""Executor `copilot`: GitHub Copilot CLI, run without a terminal.

    copilot --output-format=json --session-id=ID | --resume=ID ...        # the prompt goes by standard input

It writes one JSON object in a line, an event of its session with ``type`` and ``data``; the last one, ``result``, is
its final word. Its outcome is judged by these and never by its exit code.

======================  ================================================================================================
success                 ``result`` with ``exitCode`` 0, and no ``abort`` before it
failure                 ``result`` with another ``exitCode``; ``session.error`` says why
no final word           the stream ends without ``result``: a failure, whatever the exit code is
rate limit              ``session.error`` of type ``rate_limit`` or ``quota``, or with status 429
authentication          ``session.error`` of type ``authentication`` or ``authorization``, or with status 401 or 403;
                        without any login no event at all, and "No authentication information found" on standard error
refused                 ``session.error`` of type ``policy`` or ``content_filter``
session lost            no event at all, and "No session, task, or name matched" on standard error
interrupted             AURA's own interrupts need no sign; others: ``abort``, after which ``exitCode`` is 0
lack of permission      ``tool.execution_complete`` with the error code ``denied`` or ``rejected``; it continues
======================  ================================================================================================

Quirks, seen in 1.0.102:

- It names its session in the last event only, so AURA chooses the id and reports it with the first event that matters.
- The program on PATH is a launcher in Node.js: ended by a signal, it leaves the agent behind.
- On SIGINT and SIGTERM the agent stops in the middle of its work and exits with 0.
- It retries a failed request, 401 twice and others five times, and gives up after 4 seconds with 401, 16 with 500, 54
  with 429.
- It only reports tokens of answers, and only if the service counts them; it never reports costs.
- Without permission (options `yolo`, `allow_all_tools`, `allow_tools`) it may not write or run commands that could.
- It trusts a folder (its skills, hooks and servers) for one run only in a session whose id is not chosen, so there is
  no such option.
- In mode ``autopilot`` it repeats its last message up to five times, unless it calls a tool to end.
- A tool in `excluded_tools` is not offered to the model; how the model copes without it leaves no trace.
"""

from collections.abc import Iterator, Mapping

import msgspec

from aura_contracts.ports.executors import AgentRun, Availability, Capability
from aura_executors.adapter.agent_executor import AgentExecutor
from aura_executors.agents.copilot.command import PROGRAM, CopilotOptions, arguments_of
from aura_executors.agents.copilot.conversation import CopilotConversation

__all__ = ["CopilotConversation", "CopilotExecutor", "CopilotOptions"]


class CopilotExecutor(AgentExecutor[CopilotOptions]):
    """Runs the GitHub Copilot CLI."""

    name = "copilot"
    summary = "GitHub Copilot CLI"
    capability = Capability(resume=True, tool_servers=True, protocol=True)
    program = PROGRAM
    reads = (".github/copilot-instructions.md", "AGENTS.md")
    options = CopilotOptions
    variables = {"COPILOT_AUTO_UPDATE": "false"}
    exit_grace = 10.0

    def arguments(self, run: AgentRun, options: CopilotOptions) -> Iterator[str]:
        return arguments_of(run, options)

    def converse(self, run: AgentRun) -> CopilotConversation:
        return CopilotConversation(run)

    def availability(self, environment: Mapping[str, str]) -> Availability:
        """As the port says. A login that is not in a variable is in the system's keychain, which is not read."""
        found = super().availability(environment)
        if found.logged_in is not False:
            return found
        login = f"{found.login}; the keychain may hold a login, and was not asked"
        return msgspec.structs.replace(found, logged_in=None, login=login)
