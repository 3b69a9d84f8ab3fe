"""Executor `codex`: OpenAI's Codex CLI.

    codex app-server ...
    codex exec --json ...

Option `protocol` chooses between the two. With ``app-server``, the default, it speaks JSON-RPC on standard input and
output, and asks before it does anything that the sandbox or the policy does not permit. With ``exec`` it never asks,
and such actions are rejected. The prompt goes to standard input. The outcome is judged by the output, and by the exit
code only if there is no output.

======================  ================================================================================================
success                 ``turn.completed``, or ``turn/completed`` with status ``completed``. An item of type ``error``,
                        or a ``warning``, is not a failure
failure                 ``turn.failed``, or ``turn/completed`` with status ``failed``
no final word           no end of the turn: a failure, whatever the exit code is
rate limit              ``codexErrorInfo`` with its HTTP status (app-server), else the words of ``turn.failed``
authentication          the same
refused                 the same: ``cyberPolicy``
session lost            the error of ``thread/resume`` or ``thread/fork``; with ``exec``, words on standard error
interrupted             ``turn/completed`` with status ``interrupted``; else not visible in the stream
lack of permission      items with status ``declined``, answers that were no, commands that failed on a read-only file
                        system, and in the read-only sandbox an answer of the model that called a tool which
                        codex does not report
======================  ================================================================================================

Quirks, seen in 0.169.0:

- It often does not report a command that the sandbox stopped; with ``exec`` such a command leaves no trace.
- ``exec`` counts the tokens of the whole session, and only when a turn ends well. What the log has of the session is
  subtracted; the usage of a session that was begun outside AURA, or of a turn that was cut short, is incomplete.
- ``exec resume`` starts a new session if the id is not a UUID.
- A denial cannot carry a reason, so feedback is sent to the turn as a message (``turn/steer``).
- Tool servers get a clean environment with only the named variables.
- ``app-server`` always exits with 0, and takes a key from the environment only through option `api_key_env`.
"""

from collections.abc import Iterator, Mapping

import attrs
import msgspec

from aura_contracts.ports.executors import AgentRun, Availability, Capability, Conversation, Launch
from aura_executors.adapter.agent_executor import AgentExecutor
from aura_executors.agents.codex.app_server import AppServerConversation
from aura_executors.agents.codex.command import (
    KEYS,
    PROGRAM,
    CodexOptions,
    Protocol,
    arguments_of,
    require_valid,
    session_of,
)
from aura_executors.agents.codex.exec import ExecConversation

__all__ = ["CodexExecutor", "CodexOptions"]


class CodexExecutor(AgentExecutor[CodexOptions]):
    """Runs codex."""

    name = "codex"
    summary = "OpenAI's Codex CLI (app-server, or exec --json)"
    capability = Capability(resume=True, fork=True, permissions=True, tool_servers=True, plan=True, protocol=True)

    program = PROGRAM
    reads = ("AGENTS.md",)
    options = CodexOptions

    def options_of(self, run: AgentRun) -> CodexOptions:
        options = super().options_of(run)
        require_valid(run, options)
        return options

    def arguments(self, run: AgentRun, options: CodexOptions) -> Iterator[str]:
        return arguments_of(run, options)

    def command(self, run: AgentRun, options: CodexOptions) -> tuple[str, ...]:
        return (*super().command(run, options), *session_of(run, options))

    def launch(self, run: AgentRun) -> Launch:
        launch, conversation = super().launch(run), self.converse(run)
        if isinstance(conversation, AppServerConversation):
            return attrs.evolve(launch, stdin=conversation.hello, interactive=True)
        return launch

    def converse(self, run: AgentRun) -> Conversation:
        options = self.options_of(run)
        if options.protocol is Protocol.EXEC:
            return ExecConversation(run, options)
        return AppServerConversation(run, options)

    def availability(self, environment: Mapping[str, str]) -> Availability:
        found = PROGRAM.with_login_in(environment, "CODEX_HOME", "auth.json").availability(environment)
        if found.logged_in is False and (variable := next(filter(environment.get, KEYS), None)):
            login = f"variable {variable} is set, which counts if option api_key_env names it"
            return msgspec.structs.replace(found, logged_in=None, login=login)
        return found
