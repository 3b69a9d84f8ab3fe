"""Executor `codex`: OpenAI's Codex CLI, by ``codex app-server`` or ``codex exec --json``."""

from collections.abc import Mapping
from pathlib import PurePath

import attrs

from aura_contracts.ports.executors import AgentRun, Availability, Capability, Conversation, Executor, Launch
from aura_executors.agents.codex.app_server import AppServerConversation
from aura_executors.agents.codex.command import PROGRAM, CodexOptions, Protocol, argv_of, options_of, stdin_of
from aura_executors.agents.codex.exec import ExecConversation

__all__ = ["CodexExecutor", "CodexOptions"]


class CodexExecutor(Executor):
    """Runs codex."""

    name = "codex"
    summary = "OpenAI's Codex CLI (app-server, or exec --json)"
    capability = Capability(resume=True, fork=True, permissions=True, tool_servers=True, plan=True)

    def launch(self, run: AgentRun) -> Launch:
        options = options_of(run)
        argv = argv_of(run, options)
        env: dict[str, str | None] = dict(options.env)
        if options.protocol is Protocol.EXEC:
            return Launch(argv=argv, env=env, stdin=stdin_of(run, options))
        hello = AppServerConversation(run, options).hello
        return Launch(argv=argv, env=env, stdin=hello, interactive=True)

    def converse(self, run: AgentRun) -> Conversation:
        options = options_of(run)
        if options.protocol is Protocol.EXEC:
            return ExecConversation(run, options)
        return AppServerConversation(run, options)

    def availability(self, environment: Mapping[str, str]) -> Availability:
        home = environment.get("CODEX_HOME")
        program = attrs.evolve(PROGRAM, files=(str(PurePath(home, "auth.json")),)) if home else PROGRAM
        return program.availability(environment)
